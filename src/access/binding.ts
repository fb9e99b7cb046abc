import { quote, ValueError } from "../option/value-error.ts";
import { items } from "../option/values.ts";

/** What must stay as it was at the sign-in for a session to count. Without either, nothing must. */
export type Binding = {
  /** Family of the browser, and its system. */
  readonly agent: boolean;
  /** The /24 of an IPv4 address, the /48 of an IPv6 one. */
  readonly network: boolean;
};

/** As words for options. */
export const BINDINGS = ["none", "agent", "network", "agent,network"];

/** @throws {ValueError} */
export function binding(text: string): Binding {
  const words = new Set(items(text.toLowerCase()));
  const isPlain = [...words].every((word) => word === "agent" || word === "network");
  if (words.size > 0 && (isPlain || (words.size === 1 && words.has("none")))) {
    return { agent: words.has("agent"), network: words.has("network") };
  }
  throw new ValueError(
    `is not what a session is bound to: ${quote(text)}`,
    `Write ${BINDINGS.join(", or ")}.`,
  );
}

export function isBinding({ agent, network }: Binding): boolean {
  return agent || network;
}
