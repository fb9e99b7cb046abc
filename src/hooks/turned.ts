import type { Clock } from "../clock.ts";
import { FOREVER, type Kind, type RecordStore } from "../store/records.ts";
import type { Turned } from "./hooks.ts";
import { type Hook, placeText } from "./table.ts";

/** Hooks that have said 410, by name. Where one has another URL since, that is another hook. */
export const OFF: Kind<{ readonly place: string; readonly at: number }> = { name: "hook_off" };

export function createTurned(store: RecordStore, clock: Clock): Turned {
  const records = store.records(OFF);
  const off = async ({ name, place }: Hook) => {
    const seen = await records.get(name);
    return seen?.record.place === placeText(place) ? seen.record.at : undefined;
  };
  return {
    offSince: off,
    async off({ name, place }) {
      await records.take(name);
      await records.add(name, { place: placeText(place), at: clock.now() }, FOREVER);
    },
    async on({ name }) {
      await records.take(name);
    },
  };
}
