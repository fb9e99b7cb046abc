/**
 * What some synchronous work costs, in milliseconds of processor time: on a busy machine it takes longer and costs about the
 * same. Bounds on it are for work that grows in the wrong order, and many times what is needed.
 */
export function costOf(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}
