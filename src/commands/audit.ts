import { readFileSync } from "node:fs";
import type { ListedEvent } from "../audit/api.ts";
import { type Head, notedHeads } from "../audit/chain.ts";
import { createVerifier, type Verdict } from "../audit/verify.ts";
import { systemClock } from "../clock.ts";
import type { Operator } from "../control/client.ts";
import { EXIT } from "../exit.ts";
import { parseIp } from "../net/ip.ts";
import { messageOf } from "../observe/message-of.ts";
import { escapeUnsafe } from "../observe/unsafe-characters.ts";
import { DAY, duration, SECOND } from "../option/values.ts";
import type { Io } from "../process/io.ts";
import { type Command, failed, type Given, type Outcome, UsageError } from "./command.ts";
import { operate, REACH_HELP } from "./operate.ts";
import { isSystemError } from "./replace-file.ts";
import { table } from "./table.ts";

const FLAGS = {
  since: { type: "string" },
  until: { type: "string" },
  event: { type: "string" },
  outcome: { type: "string" },
  email: { type: "string" },
  route: { type: "string" },
  client: { type: "string" },
  limit: { type: "string" },
  heads: { type: "string" },
} as const;

type Values = Given<typeof FLAGS>["values"];
type Filter = Readonly<Record<string, string>>;

const VERBS = ["list", "export", "verify", "follow"] as const;
const OUTCOMES = ["ok", "refused", "failed"];
const FILTERS = ["event", "outcome", "email", "route", "client"] as const;
const USUAL_LIMIT = 50;
/** What is younger may be on its way from another process, and its chain have a gap until it is there. */
const SETTLED_MS = 5 * SECOND;
const LOOK_AGAIN_MS = SECOND;

/** `runegate audit`: what happened, and whether that is what was written. */
export const audit: Command<typeof FLAGS> = {
  name: "audit",
  summary: "list, export, verify or follow what happened",
  help: `Usage: runegate audit [list] [--since TIME] [--until TIME] [--event NAME]
                [--outcome ok|refused|failed] [--email ADDRESS] [--route NAME]
                [--client IP] [--limit N]
       runegate audit export [the same] > FILE
       runegate audit verify [FILE] [--heads FILE]
       runegate audit follow [the same]

  list      the newest events that fit, ${USUAL_LIMIT} unless --limit says how many (the default)
  export    all that fit, oldest first, each a line of JSON; that somebody did
            is an event itself
  verify    whether the events of a file that was exported whole, or of the
            store, are as they were written and all there: names the first line
            that is not. What is cut off at the end shows only with --heads: a
            file, such as the log of another machine, that names heads of chains
            (audit_head, every hour)
  follow    events as they happen, until it is stopped

  --since, --until   a time such as 2026-01-31T12:00:00Z, or how long ago: 24h, 7d
  --email            of whoever did it, or to whom it was done

Which events there are: deploy/AUDIT.md.

${REACH_HELP}

Exit codes: ${EXIT.done} done, ${EXIT.failed} not reached, or verify found something wrong.

Example: runegate audit --since 24h --email ada@example.org`,

  readsOptions: true,
  flags: FLAGS,
  words: VERBS,
  takes: { least: 0, most: 2, what: "list, export, verify or follow" },

  async run({ values, words: [verb = "list", file] }, io) {
    if (!VERBS.some((one) => one === verb)) throw new UsageError(`there is no "audit ${verb}".`);
    if (file !== undefined && verb !== "verify") throw new UsageError(`audit ${verb} takes no names.`);
    const filter = filterOf(values);
    if (verb === "verify") return verify(file, filter, values, io);
    if (values.heads !== undefined) throw new UsageError("--heads is of audit verify.");
    if (verb !== "list" && values.limit !== undefined) throw new UsageError("--limit is of audit list.");
    if (verb === "list") return list(filter, limitOf(values.limit), io);
    return verb === "export" ? exportAll(filter, io) : follow(filter, values.json === true, io);
  },
};

function limitOf(text = `${USUAL_LIMIT}`): number {
  if (!/^[1-9][0-9]{0,5}$/.test(text)) throw new UsageError("--limit takes a whole number from 1 on.");
  return Number(text);
}

/** As the API takes it. */
function filterOf(values: Values): Filter {
  const { outcome, client } = values;
  if (outcome !== undefined && !OUTCOMES.includes(outcome))
    throw new UsageError("--outcome takes ok, refused or failed.");
  if (client !== undefined && parseIp(client) === undefined)
    throw new UsageError("--client takes an IP address, such as 203.0.113.7.");
  const named = FILTERS.flatMap((name) => (values[name] === undefined ? [] : [[name, values[name]]]));
  const times = (["since", "until"] as const).flatMap((name) =>
    values[name] === undefined ? [] : [[name, timeOf(`--${name}`, values[name])]],
  );
  return Object.fromEntries([...times, ...named]);
}

/** @param text a time, or how long ago. */
function timeOf(flag: string, text: string): string {
  try {
    return new Date(systemClock.now() - duration("s", 0, 36_500 * DAY)(text)).toISOString();
  } catch {
    const time = Date.parse(text);
    if (/^\d{4}-/.test(text) && !Number.isNaN(time)) return new Date(time).toISOString();
    throw new UsageError(`${flag} takes a time, such as 2026-01-31T12:00:00Z, or how long ago, such as 24h.`);
  }
}

function list(filter: Filter, most: number, io: Io): Promise<Outcome> {
  return operate(io, async (operator) => {
    const events = await operator.events(filter, most);
    io.out(events.length === 0 ? "No event fits." : tableOf(events));
    return { data: events };
  });
}

function exportAll(filter: Filter, io: Io): Promise<Outcome> {
  return operate(io, async (operator) => {
    const print = io.line ?? io.out;
    for await (const line of linesOf(await operator.exportEvents(filter))) print(line);
    return EXIT.done;
  });
}

async function verify(file: string | undefined, filter: Filter, values: Values, io: Io): Promise<Outcome> {
  if (Object.keys(filter).length > 0 || values.limit !== undefined)
    throw new UsageError("verify looks at everything: it takes no filter.");
  let known: readonly Head[];
  try {
    known = values.heads === undefined ? [] : notedHeads(readFileSync(values.heads, "utf8"));
  } catch (error) {
    return unreadable(values.heads, error, io);
  }
  if (values.heads !== undefined && known.length === 0)
    return failed(io, `No head is named in ${values.heads}.`);
  const tell = async (stream: ReadableStream<Uint8Array>): Promise<Outcome> => {
    const verifier = createVerifier(known);
    for await (const line of linesOf(stream)) verifier.take(parsed(line));
    const verdict = verifier.end();
    io.out(wordsOf(verdict));
    return { code: verdict.wrong === undefined ? EXIT.done : EXIT.failed, data: verdict };
  };
  if (file === undefined) {
    const until = new Date(systemClock.now() - SETTLED_MS).toISOString();
    return operate(io, async (operator) => tell(await operator.exportEvents({ until })));
  }
  try {
    return await tell(Bun.file(file).stream());
  } catch (error) {
    return unreadable(file, error, io);
  }
}

function unreadable(file: string | undefined, error: unknown, io: Io): Outcome {
  const why = isSystemError(error) ? error.code : messageOf(error);
  return failed(io, `runegate audit: ${file} cannot be read: ${why}.`);
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function wordsOf({ events, chains, wrong }: Verdict): string {
  if (wrong === undefined)
    return `${events} events in ${chains} ${chains === 1 ? "chain" : "chains"}: as they were written, and none is missing.`;
  const where = wrong.line === undefined ? "After the last line" : `Line ${wrong.line}`;
  return `${where}${wrong.id === undefined ? "" : ` (${wrong.id})`}: ${wrong.what}.`;
}

/** Looks again and again; what comes late, from another process, comes out of order. */
function follow(filter: Filter, isJson: boolean, io: Io): Promise<Outcome> {
  return operate(io, async (operator) => {
    const print = io.line ?? io.out;
    let since = systemClock.now();
    let seen = new Set<string>();
    for (;;) {
      const events = await newSince(operator, filter, since);
      for (const event of events) {
        if (!seen.has(event.id)) print(isJson ? JSON.stringify(event) : lineOf(event));
      }
      seen = new Set(events.map(({ id }) => id));
      since = Math.max(since, systemClock.now() - 2 * SETTLED_MS);
      await Bun.sleep(LOOK_AGAIN_MS);
    }
  });
}

async function newSince(operator: Operator, filter: Filter, since: number): Promise<ListedEvent[]> {
  const events = await operator.events({ ...filter, since: new Date(since).toISOString() });
  return events.reverse();
}

const HEADING = ["TIME", "EVENT", "OUTCOME", "WHO", "TO WHOM", "FROM", "APPLICATION", "WHY"];

function cellsOf({ time, event, outcome, actor, subject, client, route, reason }: ListedEvent): string[] {
  const who = actor.email ?? actor.service ?? actor.key ?? actor.kind;
  const whom = subject === null ? "" : "email" in subject ? subject.email : subject.service;
  const cells = [who, whom === who ? "" : whom, client?.ip ?? "", route ?? "", reason ?? ""];
  return [`${time.slice(0, 19).replace("T", " ")}Z`, event, outcome, ...cells];
}

function tableOf(events: readonly ListedEvent[]): string {
  return table([HEADING, ...events.map(cellsOf)]);
}

function lineOf(event: ListedEvent): string {
  return cellsOf(event).filter(Boolean).map(escapeUnsafe).join("  ");
}

/** Without the line feeds; what is empty is none. */
async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const piece of stream) {
    const lines = (rest + decoder.decode(piece, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (line !== "") yield line;
  }
  rest += decoder.decode();
  if (rest !== "") yield rest;
}
