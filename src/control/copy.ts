import { systemClock } from "../clock.ts";
import { messageOf } from "../observe/message-of.ts";
import { type Counts, copyStore } from "../store/copy.ts";
import { type KeptLocation, loadContents } from "../store/open-contents.ts";
import { StoreUnavailable } from "../store/records.ts";
import type { Store } from "../store/store.ts";
import { KINDS } from "./kinds.ts";

/** From the store in this process's memory to another, or the other way round. */
export type WantedCopy = {
  readonly way: "from memory" | "to memory";
  readonly other: KeptLocation;
  readonly schema: string;
  /** Whether what is in the one that is copied to may be deleted. */
  readonly replace: boolean;
};

/** For the operator, and repeated to anybody who asks whether the instance is ready. */
const MOVED = "The store was copied to another one: start the gateway on that.";

const UNDER_WAY = "The store is being copied.";

/** With this process's rights, while nobody else uses either. Afterwards, one that was copied elsewhere stays held. */
export async function copyMemory(
  { contents, hold }: Required<Store>["inside"],
  { way, other, schema, replace }: WantedCopy,
): Promise<Counts> {
  const open = await loadContents(other);
  const apart = await open({ clock: systemClock, schema, made: way === "from memory" });
  const [from, to] = way === "from memory" ? [contents, apart] : [apart, contents];
  // What is held already, since it was copied before, stays so whatever comes of this.
  let end = hold(UNDER_WAY);
  try {
    // Another one ends on its own terms, and would let visitors in while this one still copies.
    if (end === UNDER_WAY)
      throw new StoreUnavailable("It is being copied already: wait until that has ended.");
    const counts = await copyStore(from, to, { kinds: KINDS, replace, clock: systemClock, tell() {} });
    end = way === "from memory" ? MOVED : undefined;
    return counts;
  } catch (error) {
    if (error instanceof StoreUnavailable) throw error;
    throw new StoreUnavailable(messageOf(error), { cause: error });
  } finally {
    hold(end);
    await apart.close();
  }
}
