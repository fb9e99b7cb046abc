import type { Failure } from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import type { Fields } from "../edge/body.ts";
import type { Sources } from "../edge/page-policy.ts";
import type { Html } from "../pages/template.ts";
import type { Awaitable } from "../store/records.ts";

/** Something that stands before asking for a mail, which the room that has it adds to the form of the login page (`Room.beforeAsk`). */
export type BeforeAsk = {
  /** Its part of the form; undefined while it asks nothing of this visitor. @throws {StoreUnavailable} */
  part(arrival: Arrival): Awaitable<FormPart | undefined>;
  /**
   * Judges what came with the form, or as JSON. It is asked before anything is done for the address, and knows none.
   * @returns why there is no mail; undefined if nothing keeps it from being sent. @throws {StoreUnavailable}
   */
  judge(arrival: Arrival, fields: Fields): Awaitable<Failure | undefined>;
};

export type FormPart = {
  readonly html: Html;
  /** What the login page may load for it beside what all pages may. */
  readonly sources?: Sources;
};
