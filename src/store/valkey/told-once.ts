import { createRecencyMap } from "../memory/recency-map.ts";
import type { createListeners } from "../records.ts";

/** Enough for an end to be told once, however it is learned of first: by the answer, or by the server's message. */
const REMEMBERED = 10_000;

/** Listeners that hear of an id once, until it is forgotten. */
export function createToldOnce(listeners: ReturnType<typeof createListeners>) {
  const known = createRecencyMap<true>();
  return {
    add: listeners.add,
    tell(id: string) {
      if (known.get(id)) return;
      known.set(id, true);
      const oldest = known.oldest();
      if (known.size > REMEMBERED && oldest !== undefined) known.delete(oldest[0]);
      listeners.tell(id);
    },
    forget: (id: string) => known.delete(id),
  };
}
