// Colours of altitude, in steps: an icon is drawn once per step and then only copied. Pure.

export const STOPS = [
  [0, [255, 122, 89]],
  [7500, [255, 190, 92]],
  [16500, [150, 226, 130]],
  [27000, [70, 214, 214]],
  [33000, [86, 170, 255]],
  [37500, [146, 140, 255]],
  [42000, [236, 130, 235]],
];
const STEP = 1500;
const HIGHEST = 45_000;
const UNKNOWN = "#d5deec";

/** The number of the altitude's colour; -1 when it is unknown. */
export function step(altitude) {
  if (typeof altitude !== "number" || !Number.isFinite(altitude)) return -1;
  return Math.round(Math.min(Math.max(altitude, 0), HIGHEST) / STEP);
}

export function color(number) {
  if (number < 0) return UNKNOWN;
  const altitude = number * STEP;
  const upper = STOPS.findIndex(([at]) => at >= altitude);
  if (upper <= 0) return css(STOPS[upper === 0 ? 0 : STOPS.length - 1][1]);
  const [low, from] = STOPS[upper - 1];
  const [high, to] = STOPS[upper];
  const share = (altitude - low) / (high - low);
  return css(from.map((value, index) => Math.round(value + (to[index] - value) * share)));
}

const css = ([red, green, blue]) => `rgb(${red} ${green} ${blue})`;
