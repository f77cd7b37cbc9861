// The game's rules: a word, a minute, points for how soon and how near. It knows nothing of the page.

export const SECONDS = 60;
const BEST = 100; // points for the first place, and two more for each second that is left
const NEAR = { 2: 50, 3: 35, 4: 20, 5: 20 }; // points by place when the minute is over
const STREAK = 10; // points more for each word before it that was got in a row, up to five

/** Points of a round: `rank` is 1 for the top, `streak` the words that were got in a row before it. */
export function pointsOf({ rank, secondsLeft, streak }) {
  if (rank === 1) return BEST + 2 * Math.ceil(secondsLeft) + STREAK * Math.min(streak, 5);
  return NEAR[rank] ?? 0;
}

/** A game over `words`. `now()` gives seconds; each word comes once before any comes again.
 *
 * `state()` is { phase: "ready" | "drawing" | "paused" | "won" | "over", word, rank, secondsLeft, score, streak, points }.
 */
export function createGame(words, { now, random = Math.random }) {
  let pile = [];
  let end = 0;
  let round = { phase: "ready", word: null, rank: null, points: 0, left: SECONDS };
  const total = { score: 0, streak: 0 };

  function secondsLeft() {
    return round.phase === "drawing" ? Math.max(0, end - now()) : round.left;
  }

  function draw() {
    if (!pile.length) pile = shuffled(words, random);
    const word = pile.pop();
    if (word !== round.word || words.length === 1) return word;
    pile.unshift(word); // the last of the old pile is not to be the first of the new one
    return pile.pop();
  }

  function settle(phase) {
    const left = secondsLeft();
    const points = pointsOf({ rank: round.rank, secondsLeft: left, streak: total.streak });
    round = { ...round, phase, left, points };
    total.score += points;
    total.streak = phase === "won" ? total.streak + 1 : 0;
  }

  return {
    state: () => ({ ...round, ...total, secondsLeft: secondsLeft() }),
    next() {
      if (round.phase === "drawing" || round.phase === "paused") total.streak = 0; // skipped
      round = { phase: "drawing", word: draw(), rank: null, points: 0, left: SECONDS };
      end = now() + SECONDS;
    },
    /** The place that the word has now. */
    judge(rank) {
      if (round.phase !== "drawing") return;
      round.rank = rank;
      if (rank === 1) settle("won");
    },
    /** To be called now and then: ends the round when its time is over. */
    tick() {
      if (round.phase === "drawing" && now() >= end) settle("over");
    },
    pause() {
      if (round.phase === "drawing") round = { ...round, left: secondsLeft(), phase: "paused" };
    },
    resume() {
      if (round.phase !== "paused") return;
      end = now() + round.left;
      round = { ...round, phase: "drawing" };
    },
  };
}

function shuffled(words, random) {
  const pile = [...words];
  for (let i = pile.length - 1; i > 0; i -= 1) {
    const j = Math.floor(random() * (i + 1));
    [pile[i], pile[j]] = [pile[j], pile[i]];
  }
  return pile;
}
