// The wait before the next attempt. Pure.

export const FIRST_WAIT = 500;
export const LONGEST_WAIT = 15_000;

/**
 * Anything up to a bound that doubles with each attempt ("full jitter"): clients that were dropped together
 * return apart.
 * @param {number} attempt
 * @param {() => number} random
 */
export function backoff(attempt, random = Math.random) {
  return Math.round(random() * Math.min(FIRST_WAIT * 2 ** Math.min(attempt, 10), LONGEST_WAIT));
}

const LONGEST_ASKED = 30_000;

/**
 * The wait that the server asks for in the reason of a close, null when it asks for none.
 * @param {string} reason
 */
export function askedWait(reason) {
  try {
    const wait = JSON.parse(reason).retry_ms;
    return Number.isFinite(wait) ? Math.min(Math.max(wait, 0), LONGEST_ASKED) : null;
  } catch {
    return null;
  }
}
