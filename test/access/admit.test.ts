import { expect, test } from "bun:test";
import { type Authenticator, createAdmit } from "../../src/access/admit.ts";

const of = (kind: string): Authenticator => ({
  kind,
  authenticate: () => undefined,
  alive: () => undefined,
  onEnded() {},
});

test.each([
  [["session", "key"], false],
  [["session", "session"], true],
  [["session", "operator"], true],
])("kinds of proof %j: %j to be refused", (kinds, refused) => {
  const create = () => createAdmit(kinds.map(of));
  if (refused) expect(create).toThrow("a kind of proof belongs to one room");
  else expect(create).not.toThrow();
});
