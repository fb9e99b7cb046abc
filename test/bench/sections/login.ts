import { readFileSync } from "node:fs";
import { type Contestant, contestant, spent, startScript } from "../contestants.ts";
import { DOMAIN, mintLinks, type RunningGateway, startRunegate } from "../runegate.ts";
import { type Bench, inTurn, medianOf, percentile, type Report, type Section } from "../section.ts";
import { BenchError } from "../stage.ts";
import { startStores } from "../stores.ts";

/** What it takes to sign in: asking for a link, and redeeming one. */
export const loginSection: Section = {
  name: "login",
  summary: "login requests and redemptions, in each store",
  atMostSeconds: ({ seconds, rounds }) => 60 + 3 * rounds * (4 * seconds + MAIL_PATIENCE_SECONDS),
  run,
};

/** Visitors at the same time. */
const AT_ONCE = 16;
/** Links to redeem for each second asked for: they are made before the clock starts. */
const LINKS_PER_SECOND = 500;
/** A gateway takes up to 10,000 mails that wait; asking stops before that. */
const MOST_REQUESTS = 8000;
const MAIL_PATIENCE_SECONDS = 20;

type Rate = { readonly perSecond: number; readonly cpu: number; readonly p50: number; readonly p99: number };
type Sample = { readonly request: Rate; readonly redemption: Rate };
type StoreContestant = Contestant & { readonly gateway: RunningGateway };

async function run({ stage, effort, say }: Bench): Promise<Report> {
  const { rounds, seconds } = effort;
  const upstream = await startScript(stage, "raw", "applications/raw.ts");
  const { choices, notes } = await startStores(stage, "login");
  const contestants: StoreContestant[] = [];
  for (const { name, location, server, isUsed } of choices) {
    const gateway = await startRunegate(stage, {
      name: `runegate-${name}`,
      upstreamPort: upstream.port,
      options: { RUNEGATE_STORE: location },
    });
    // Somebody has signed in by now.
    if (!(await isUsed())) throw new BenchError(`The gateway does not keep its sessions in ${name}.`);
    const helpers = server === undefined ? [] : [server];
    contestants.push({ ...contestant(name, gateway.cookie, gateway, ...helpers), gateway });
  }
  const visitors = createVisitors();
  const samples = await inTurn(contestants, rounds, async (who, round): Promise<Sample> => {
    const request = await requestLinks(who, visitors, seconds);
    const redemption = await redeemLinks(who, visitors, seconds);
    const figures = `${request.perSecond.toFixed(0)} requests/s, ${redemption.perSecond.toFixed(0)} redemptions/s`;
    say(`round ${round + 1} of ${rounds}: ${who.name}: ${figures}`);
    return { request, redemption };
  });
  const cells = (of: readonly Sample[]) => [
    medianOf(of, ({ request }) => request.cpu).toFixed(0),
    medianOf(of, ({ redemption }) => redemption.perSecond).toFixed(0),
    medianOf(of, ({ redemption }) => redemption.cpu).toFixed(0),
    medianOf(of, ({ redemption }) => redemption.p50).toFixed(1),
    medianOf(of, ({ redemption }) => redemption.p99).toFixed(1),
  ];
  return {
    tables: [
      {
        columns: ["", "CPU µs/login request", "redemptions/s", "CPU µs", "p50 ms", "p99 ms"],
        rows: [...samples].map(([name, of]) => [name, ...cells(of)]),
      },
    ],
    targets: [],
    notes: [
      `${AT_ONCE} visitors at a time, each of another address and client, limits on; of login requests a gateway begins 25 a second. The CPU of one includes making its ` +
        "mail and handing it to the development mailbox, and that of the store's server.",
      ...notes,
    ],
    figures: Object.fromEntries(samples),
  };
}

/** Everybody is new: another address, and another client behind the proxy that the gateway trusts. */
type Visitors = { next(): { readonly email: string; readonly client: string } };

function createVisitors(): Visitors {
  let count = 0;
  return {
    next() {
      const number = ++count;
      const client = `10.${(number >> 16) & 255}.${(number >> 8) & 255}.${number & 255}`;
      return { email: `visitor-${number}@${DOMAIN}`, client };
    },
  };
}

async function requestLinks(who: StoreContestant, visitors: Visitors, seconds: number): Promise<Rate> {
  const { result, cpuSeconds } = await spent(who, async () => {
    const end = performance.now() + seconds * 1000;
    const run = await inParallel((done) => {
      if (performance.now() > end || done >= MOST_REQUESTS) return undefined;
      const { email, client } = visitors.next();
      return post(who.port, "/_runegate/login", client, { email });
    });
    await mailSent(who, run.taken.length);
    return run;
  });
  return rateOf(result, cpuSeconds);
}

async function redeemLinks(who: StoreContestant, visitors: Visitors, seconds: number): Promise<Rate> {
  const addresses = Array.from({ length: seconds * LINKS_PER_SECOND }, () => visitors.next().email);
  const tokens = (await mintLinks(who.gateway, addresses)).map((link) =>
    new URL(link).searchParams.get("token"),
  );
  const { result, cpuSeconds } = await spent(who, () =>
    inParallel(() => {
      const token = tokens.pop();
      if (token === undefined) return undefined;
      return post(who.port, "/_runegate/auth", visitors.next().client, { token });
    }),
  );
  return rateOf(result, cpuSeconds);
}

type Run = { readonly taken: readonly number[]; readonly seconds: number };

/** @param start one after the other, some at a time, until it says there is nothing more. */
async function inParallel(start: (begun: number) => Promise<void> | undefined): Promise<Run> {
  const taken: number[] = [];
  const begin = performance.now();
  let begun = 0;
  const visit = async () => {
    for (;;) {
      const before = performance.now();
      const visiting = start(begun);
      if (visiting === undefined) return;
      begun++;
      await visiting;
      taken.push(performance.now() - before);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, visit));
  const seconds = (performance.now() - begin) / 1000;
  return { taken: taken.toSorted((a, b) => a - b), seconds };
}

function rateOf({ taken, seconds }: Run, cpuSeconds: number): Rate {
  return {
    perSecond: taken.length / seconds,
    cpu: (cpuSeconds / taken.length) * 1e6,
    p50: percentile(taken, 0.5),
    p99: percentile(taken, 0.99),
  };
}

/** @throws {BenchError} if it is not answered with 200. */
async function post(port: number, path: string, client: string, body: object): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Forwarded-For": client },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  if (response.status !== 200) throw new BenchError(`${path} was answered with ${response.status}: ${text}`);
}

/** Waits until every mail has been handed over, of which the log tells. @throws {BenchError} */
async function mailSent({ logFiles: [log = ""] }: Contestant, mails: number): Promise<void> {
  const giveUpAt = performance.now() + MAIL_PATIENCE_SECONDS * 1000;
  for (;;) {
    const text = readFileSync(log, "latin1");
    if (text.includes('"queue_full"'))
      throw new BenchError("The outbox was full: fewer requests are needed.");
    const sent = text.split('"mail sent"').length - 1;
    if (sent >= mails) return;
    if (performance.now() > giveUpAt)
      throw new BenchError(`${mails - sent} of ${mails} mails were not sent in time.`);
    await Bun.sleep(100);
  }
}
