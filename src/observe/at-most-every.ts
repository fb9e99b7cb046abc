/**
 * For a line that anybody may cause as often as they like: it is due at first, and then at most once in so many milliseconds.
 * @returns what takes the monotonic time, and counts as said what it says is due.
 */
export function atMostEvery(milliseconds: number): (now: number) => boolean {
  let next = Number.NEGATIVE_INFINITY;
  return (now) => {
    if (now < next) return false;
    next = now + milliseconds;
    return true;
  };
}
