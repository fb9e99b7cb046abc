/** Exit codes (CONTRACT section 12; 64 and 78 as in sysexits.h). */
export const EXIT = { done: 0, failed: 1, usage: 64, config: 78 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];
