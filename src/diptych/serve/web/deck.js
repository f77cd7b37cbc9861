// The words of the game, and the sentences that a drawing is compared with.
// Kept are things that the small model in the package can tell apart when they are painted: of 127 that were tried,
// the 60 that it ranks best among themselves.

export const DECK = [
  "apple", "balloons", "banana", "beach", "bed", "bee", "bicycle", "bird", "car", "castle",
  "chair", "christmas tree", "city at night", "coffee", "computer", "cow", "desert", "dog", "door", "dress",
  "duck", "elephant", "fire", "flower", "frog", "guitar", "heart", "ice cream", "lemon", "lighthouse",
  "lion", "moon", "mountain", "ocean", "orange", "palm tree", "penguin", "pizza", "pumpkin", "rabbit",
  "rainbow", "road", "school bus", "shark", "sheep", "soccer ball", "stop sign", "sunflower", "sunset", "t-shirt",
  "television", "tomato", "traffic light", "tulip", "turtle", "umbrella", "volcano", "waterfall", "whale", "window",
];

export const TEMPLATES = ["a drawing of a {}.", "a painting of a {}.", "a cartoon {}.", "a photo of a {}."];
