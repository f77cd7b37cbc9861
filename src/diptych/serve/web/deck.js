// The words of the game, and the sentences that a drawing is compared with.
// Kept are 30 of 114 that the small model in the package can tell apart in simple drawings: outlines, outlines with a
// fill, fills alone, and a thick pen. Of 240 such drawings, made by a program, 41% came first and 82% among five.

export const DECK = [
  "apple", "banana", "basketball", "bird", "car", "castle", "christmas tree", "clock", "coffee", "door",
  "dress", "elephant", "frog", "guitar", "heart", "house", "lemon", "lighthouse", "orange", "palm tree",
  "penguin", "rabbit", "rocket", "school bus", "soccer ball", "strawberry", "sunflower", "t-shirt", "table", "television",
];

export const TEMPLATES = ["a drawing of a {}.", "a photo of a {}.", "a {}.", "a toy {}."];
