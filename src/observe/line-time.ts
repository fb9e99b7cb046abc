/**
 * Writes times with their milliseconds, working out the rest, which many lines in a row share, once a second.
 * @param head writes everything before the milliseconds, of a time in whole seconds (in milliseconds since the epoch).
 */
export function createLineTime(head: (wholeSecond: number) => string): (time: number) => string {
  let second = Number.NaN;
  let text = "";
  return (time) => {
    const current = Math.floor(time / 1000);
    if (current !== second) {
      second = current;
      text = head(current * 1000);
    }
    return `${text}.${String(Math.floor(time) % 1000).padStart(3, "0")}`;
  };
}
