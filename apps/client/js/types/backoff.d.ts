/**
 * Anything up to a bound that doubles with each attempt ("full jitter"): clients that were dropped together
 * return apart.
 * @param {number} attempt
 * @param {() => number} random
 */
export function backoff(attempt: number, random?: () => number): number;
/**
 * The wait that the server asks for in the reason of a close, null when it asks for none.
 * @param {string} reason
 */
export function askedWait(reason: string): number | null;
export const FIRST_WAIT: 500;
export const LONGEST_WAIT: 15000;
