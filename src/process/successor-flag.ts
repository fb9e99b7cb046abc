/** Follows `serve` in the process that takes over from the one that starts it, and in no other. */
export const SUCCESSOR_FLAG = "--successor";
