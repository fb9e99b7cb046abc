import type { Operator } from "../control/client.ts";
import { examineEdge } from "../doctor/examination.ts";
import { exchange } from "../doctor/exchange.ts";
import type { Finding } from "../doctor/finding.ts";
import { EXIT } from "../exit.ts";
import { ConfigError } from "../option/finding.ts";
import type { Io } from "../process/io.ts";
import { type Outcome, UsageError } from "./command.ts";
import { isUnreached, reach } from "./operate.ts";

/** `runegate check --edge`: what a proxy in front makes of what visitors send. */
export async function checkEdge(text: string, io: Io): Promise<Outcome> {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== "" || url.password !== "")
    throw new UsageError("--edge takes the public address of a page, such as https://app.example.org.");
  const examine = (operator: Operator | undefined) =>
    examineEdge(url, operator, exchange, (finding) => io.out(textOf(finding)));
  let isAsked = true;
  let findings: readonly Finding[];
  try {
    findings = await reach(io, examine);
  } catch (error) {
    if (!isUnreached(error) && !(error instanceof ConfigError)) throw error;
    isAsked = false;
    io.err(`${reasonOf(error)} What follows is what can be seen from outside.`);
    findings = await examine(undefined);
  }
  const ok = findings.every(({ state }) => state !== "wrong");
  const unknown = findings.filter(({ state }) => state === "unknown").length;
  const rest = unknown === 0 ? "" : ` ${unknown} of ${findings.length} could not be told.`;
  io.out(`${ok ? "Nothing wrong was found." : "Something is wrong."}${rest}`);
  return { code: ok ? EXIT.done : EXIT.failed, data: { ok, instance: isAsked, findings } };
}

function reasonOf(error: Error): string {
  return error instanceof ConfigError ? "There is no configuration here that is good." : error.message;
}

function textOf({ name, state, detail, remedy }: Finding): string {
  const said = state === "ok" ? "ok" : state === "wrong" ? "WRONG" : "not known";
  return `${name}: ${said}, ${detail}.${remedy === undefined ? "" : ` ${remedy}`}`;
}
