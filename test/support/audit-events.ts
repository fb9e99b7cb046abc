import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { AuditFacts, AuditKind } from "../../src/observe/audit.ts";

/** Every kind of event there is, from the rooms that declare them. */

type Kind = AuditKind<keyof AuditFacts>;

const SRC = join(import.meta.dir, "../../src");
const FILES = readdirSync(SRC, { recursive: true, encoding: "utf8" }).filter(
  (path) => path.endsWith("/audit.ts") && !["observe", "commands"].includes(path.split("/", 1)[0] ?? ""),
);

const declared = await Promise.all(FILES.map(async (path) => Object.values(await import(join(SRC, path)))));
export const AUDIT_KINDS: readonly Kind[] = declared
  .flat()
  .filter((one): one is Kind => typeof one === "object" && one !== null && "event" in one)
  .sort((a, b) => (a.event < b.event ? -1 : 1));

/** Where a fact stands in an event. */
const PLACES: Partial<Record<keyof AuditFacts, string>> = {
  ...{ reason: "reason", actor: "actor", subject: "subject", client: "client", host: "host", route: "route" },
  session: "session",
};

export function renderEvents(): string {
  const rows = AUDIT_KINDS.map(({ event, outcome, help = "", line }) => {
    const facts = Object.values(line).map((fact) => PLACES[fact] ?? `details.${fact}`);
    const outcomes = typeof outcome === "string" ? outcome : "by its reason";
    return `| \`${event}\` | ${outcomes} | ${help} | ${[...new Set(facts)].join(", ")} |`;
  });
  return ["| event | outcome | | what it has |", "| --- | --- | --- | --- |", ...rows].join("\n");
}
