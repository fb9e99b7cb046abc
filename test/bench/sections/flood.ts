import { startScript } from "../contestants.ts";
import { DOMAIN, mintLinks, type RunningGateway, redeem, startRunegate } from "../runegate.ts";
import { type Bench, medianOf, percentile, type Report, type Section } from "../section.ts";
import { BenchError, type Stage } from "../stage.ts";
import { startStores } from "../stores.ts";

/** What those who are signed in notice of a crowd that asks for login links. */
export const floodSection: Section = {
  name: "flood",
  summary: "what signed-in users notice of 600 people who all ask for a login link",
  atMostSeconds: ({ seconds, rounds }) => 60 + 3 * rounds * (2 * seconds + 20),
  run,
};

const ASKERS = 600;
const USERS = 10;
/** Each user's next request comes this long after the answer to the one before, on average. */
const PAUSE_MS = 20;
const WANTED_RATIO = 2;

type Waits = { readonly p50: number; readonly p99: number; readonly requests: number };
type Sample = {
  readonly quiet: Waits;
  readonly flooded: Waits;
  readonly redeemed: Waits;
  readonly answers: Readonly<Record<string, number>>;
};

async function run({ stage, effort, say }: Bench): Promise<Report> {
  const { rounds, seconds } = effort;
  const upstream = await startScript(stage, "raw", "applications/raw.ts");
  const { choices, notes } = await startStores(stage, "flood");
  const samples = new Map<string, Sample[]>();
  for (const { name, location } of choices) {
    const of: Sample[] = [];
    for (let round = 0; round < rounds; round++) {
      // A gateway for each round: the mails of one flood would be sent during the next.
      const gateway = await startRunegate(stage, {
        name: `runegate-${name}-${round}`,
        upstreamPort: upstream.port,
        options: {
          RUNEGATE_STORE: location.replace(/(\.db)?$/, (end) => (end ? `-${round}${end}` : "")),
          // All of them from one address.
          RUNEGATE_TOKEN_RATE_LIMIT: "100000",
        },
      });
      const links = await mintLinks(
        gateway,
        Array.from({ length: seconds * 8 }, (_, number) => `returning-${number}@${DOMAIN}`),
      );
      const [quiet] = await Promise.all([visit(gateway, seconds), signIn(gateway, links, seconds)]);
      const [flooded, redeemed, answers] = await Promise.all([
        visit(gateway, seconds),
        signIn(gateway, links, seconds),
        flood(stage, gateway.port, seconds),
      ]);
      say(
        `round ${round + 1} of ${rounds}: ${name}: p99 ${quiet.p99.toFixed(1)} → ${flooded.p99.toFixed(1)} ms, ` +
          `p50 ${quiet.p50.toFixed(1)} → ${flooded.p50.toFixed(1)} ms, redeeming p99 ${redeemed.p99.toFixed(1)} ms, ` +
          `answers ${JSON.stringify(answers)}`,
      );
      of.push({ quiet, flooded, redeemed, answers });
      await stage.end(gateway);
    }
    samples.set(name, of);
  }
  const ms = (of: readonly Sample[], which: "quiet" | "flooded" | "redeemed", share: "p50" | "p99") =>
    medianOf(of, (sample) => sample[which][share]).toFixed(1);
  const ratio = (of: readonly Sample[]) => medianOf(of, ({ quiet, flooded }) => flooded.p99 / quiet.p99);
  const answered = (of: readonly Sample[], status: string) =>
    (medianOf(of, ({ answers }) => answers[status] ?? 0) / seconds).toFixed(0);
  return {
    tables: [
      {
        columns: [
          "",
          ...["p50 ms", "p99 ms", "flooded p50 ms", "flooded p99 ms", "ratio of p99"],
          ...["redeeming p99 ms", "links/s", "503/s"],
        ],
        rows: [...samples].map(([name, of]) => [
          name,
          ms(of, "quiet", "p50"),
          ms(of, "quiet", "p99"),
          ms(of, "flooded", "p50"),
          ms(of, "flooded", "p99"),
          ratio(of).toFixed(2),
          ms(of, "redeemed", "p99"),
          answered(of, "200"),
          answered(of, "503"),
        ]),
      },
    ],
    targets: [...samples].map(([name, of]) => ({
      wanted: `${name}: with ${ASKERS} askers, the p99 of those who are signed in at most ${WANTED_RATIO} times what it was`,
      got: ratio(of).toFixed(2),
      met: ratio(of) <= WANTED_RATIO,
    })),
    notes: [
      `${USERS} users who are signed in, each with a request every ${PAUSE_MS} ms or so; ${ASKERS} askers that send their next ` +
        "request as soon as they have their answer, each time from another /48 and for another address; four links a second redeemed, before the flood too. " +
        "All of them, application and gateway share the machine's cores.",
      ...notes,
    ],
    figures: Object.fromEntries(samples),
  };
}

/** Requests for the application by some who are signed in. @throws {BenchError} if one is not answered with 200. */
async function visit(gateway: RunningGateway, seconds: number): Promise<Waits> {
  const request = { headers: { Cookie: gateway.cookie } };
  const url = `http://127.0.0.1:${gateway.port}/`;
  return collect(USERS, seconds, PAUSE_MS, async () => {
    const response = await fetch(url, request);
    await response.arrayBuffer();
    if (response.status !== 200)
      throw new BenchError(`A signed-in user was answered with ${response.status}.`);
  });
}

async function signIn(gateway: RunningGateway, links: string[], seconds: number): Promise<Waits> {
  return collect(1, seconds, 250, async () => {
    const link = links.pop();
    if (link !== undefined) await redeem(gateway.port, link);
  });
}

async function collect(
  people: number,
  seconds: number,
  pauseMs: number,
  request: () => Promise<void>,
): Promise<Waits> {
  const taken: number[] = [];
  const end = performance.now() + seconds * 1000;
  const person = async () => {
    await Bun.sleep(Math.random() * pauseMs);
    while (performance.now() < end) {
      const before = performance.now();
      await request();
      taken.push(performance.now() - before);
      // Not in step with anything else that happens regularly.
      await Bun.sleep(pauseMs * (0.5 + Math.random()));
    }
  };
  await Promise.all(Array.from({ length: people }, person));
  taken.sort((a, b) => a - b);
  return { p50: percentile(taken, 0.5), p99: percentile(taken, 0.99), requests: taken.length };
}

async function flood(stage: Stage, port: number, seconds: number): Promise<Record<string, number>> {
  const script = new URL("../applications/askers.ts", import.meta.url).pathname;
  const output = await stage.run(
    [process.execPath, script, ...[port, ASKERS, seconds].map(String), DOMAIN],
    seconds + 20,
  );
  return JSON.parse(output) as Record<string, number>;
}
