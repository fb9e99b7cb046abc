import { cpuSeconds } from "../accounting.ts";
import type { Lookups } from "../applications/lookups.ts";
import { startScript } from "../contestants.ts";
import {
  type Bench,
  inTurn,
  medianOf,
  medianRatio,
  type Report,
  type Section,
  type Target,
} from "../section.ts";
import { BenchError, type Listening, type Stage } from "../stage.ts";
import { type StoreChoice, startStores } from "../stores.ts";

/** Whether finding a session takes longer where there are many. */
export const lookupSection: Section = {
  name: "lookup",
  summary: "session look-up with few and with many sessions, in each store",
  atMostSeconds: ({ seconds, rounds, sessions }) =>
    60 + 12 * rounds * (seconds + 2 * TURNS) + 3 * (10 + sessions / 4000),
  inMemory: true,
  run,
};

const FEW = 1000;
/** With the many, as a multiple of what it takes with the few. */
const MOST = 1.2;
const FILL_SECONDS = 300;
/** Many short turns for each round: what is compared here is less than what another program does to the processor's caches. */
const TURNS = 4;

/** One way of looking up: a store, how many at a time, drawn from how many. */
type Lookup = {
  readonly name: string;
  readonly store: Listening;
  readonly server: Listening | undefined;
  readonly batch: number;
  readonly among: number;
};

/** Microseconds a look-up, on the clock and of CPU, the server's included. */
type Sample = { readonly elapsed: number; readonly cpu: number };

/** The three that are compared, by their names. */
type Comparison = {
  readonly name: string;
  /** Of few sessions. */
  readonly few: string;
  /** Of many sessions, as few of which are in use. */
  readonly some: string;
  /** Of many sessions, all in use. */
  readonly all: string;
};

async function run({ stage, effort, say }: Bench): Promise<Report> {
  const { rounds, seconds, sessions } = effort;
  const lookups: Lookup[] = [];
  const comparisons: Comparison[] = [];
  const [few, many] = [await startStores(stage, "few"), await startStores(stage, "many")];
  for (const [index, choice] of few.choices.entries()) {
    const other = many.choices[index] ?? choice;
    const { server } = choice;
    const small = { store: await fill(stage, choice, FEW, say), server };
    const large = { store: await fill(stage, other, sessions, say), server: other.server };
    // Whoever waits for one answer at a time waits for the network; many who ask share the round trips.
    for (const batch of server === undefined ? [1] : [1, 100]) {
      const name = batch === 1 ? choice.name : `${choice.name}, ${batch} at a time`;
      const comparison = { name, few: `${name}, ${FEW}`, some: `${name}, some`, all: `${name}, all` };
      comparisons.push(comparison);
      lookups.push(
        { name: comparison.few, ...small, batch, among: FEW },
        { name: comparison.some, ...large, batch, among: FEW },
        { name: comparison.all, ...large, batch, among: sessions },
      );
    }
  }

  for (const lookup of lookups) await measure(lookup, 1);
  const turns = rounds * TURNS;
  const samples = await inTurn(lookups, turns, async (lookup, turn) => {
    const sample = await measure(lookup, seconds / TURNS / 2);
    say(`round ${turn + 1} of ${turns}: ${lookup.name}: ${sample.cpu.toFixed(2)} µs`);
    return sample;
  });
  const of = (name: string) => samples.get(name) ?? [];
  const cells = (name: string) => [
    medianOf(of(name), ({ elapsed }) => elapsed).toFixed(2),
    medianOf(of(name), ({ cpu }) => cpu).toFixed(2),
  ];
  const ratio = (name: string, to: string) => medianRatio(of(name), of(to), ({ cpu }) => cpu);
  return {
    tables: [
      {
        columns: [
          "",
          ...[`${FEW} sessions µs`, "CPU µs"],
          ...[`${sessions}, ${FEW} in use µs`, "CPU µs", "ratio"],
          ...[`${sessions}, all in use µs`, "CPU µs", "ratio"],
        ],
        rows: comparisons.map(({ name, few, some, all }) => [
          name,
          ...cells(few),
          ...[...cells(some), ratio(some, few).toFixed(2)],
          ...[...cells(all), ratio(all, few).toFixed(2)],
        ]),
      },
    ],
    targets: comparisons.flatMap(({ name, few, some, all }) =>
      [
        { of: some, use: `${FEW} of them in use` },
        { of: all, use: "all of them in use" },
      ].map(
        ({ of, use }): Target => ({
          wanted: `${name}: at most ${MOST} times the CPU with ${sessions} sessions, ${use}, as with ${FEW}`,
          got: ratio(of, few).toFixed(2),
          met: ratio(of, few) <= MOST,
        }),
      ),
    ),
    notes: [
      "Through the store's contract, in a process of its own, without a gateway. Sessions are drawn at random from those in use: " +
        "what a million in use take more than a thousand is the processor's memory, which holds no more than some megabytes close by. SQLite's file is in memory too, which what is read often is anyway. Ratios are of CPU, the server's included.",
      ...few.notes,
    ],
    figures: Object.fromEntries(samples),
  };
}

async function fill(
  stage: Stage,
  { name, location, isUsed }: StoreChoice,
  sessions: number,
  say: (text: string) => void,
): Promise<Listening> {
  const store = await startScript(
    stage,
    `${name}-${sessions}`,
    "applications/lookups.ts",
    location,
    sessions,
  );
  const begin = performance.now();
  await ask(store, "/fill", FILL_SECONDS);
  if (!(await isUsed())) throw new BenchError(`Nothing has been put into ${name}.`);
  say(`${name}: ${sessions} sessions made in ${((performance.now() - begin) / 1000).toFixed(1)} s`);
  return store;
}

async function measure({ store, server, batch, among }: Lookup, seconds: number): Promise<Sample> {
  const servers = server === undefined ? [] : [server.pid];
  const before = cpuSeconds(servers);
  const response = await ask(
    store,
    `/measure?seconds=${seconds}&batch=${batch}&among=${among}`,
    seconds + 10,
  );
  const of = (await response.json()) as Lookups;
  const cpu = of.cpu + cpuSeconds(servers) - before;
  return { elapsed: (of.seconds / of.lookups) * 1e6, cpu: (cpu / of.lookups) * 1e6 };
}

async function ask({ port }: Listening, path: string, seconds: number): Promise<Response> {
  let response: Response;
  try {
    const signal = AbortSignal.timeout(seconds * 1000);
    response = await fetch(`http://127.0.0.1:${port}${path}`, { method: "POST", signal });
  } catch (error) {
    throw new BenchError(`The store did not do it: ${error instanceof Error ? error.message : error}.`);
  }
  if (response.ok) return response;
  throw new BenchError(`The store failed: ${(await response.text()).slice(0, 500)}`);
}
