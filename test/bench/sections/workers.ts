import { cpuSeconds } from "../accounting.ts";
import { type Contestant, contestant, processesOf, underLoad } from "../contestants.ts";
import { createLoadGenerator } from "../load.ts";
import { startNginxProxy, startSmallApplication } from "../rivals/nginx.ts";
import { startRunegate } from "../runegate.ts";
import { type Bench, inTurn, medianOf, medianRatio, type Report, type Section } from "../section.ts";
import { BenchError, type Stage } from "../stage.ts";

/** What a second process gains. */
export const workersSection: Section = {
  name: "workers",
  summary: "one and two worker processes on one port",
  atMostSeconds: ({ seconds, rounds }) => 60 + 4 * (WARM_UP_SECONDS + rounds * (seconds + 1)),
  run,
};

const WARM_UP_SECONDS = 2;

async function run({ stage, effort, say }: Bench): Promise<Report> {
  const { rounds, seconds, connections } = effort;
  const generator = createLoadGenerator(stage);
  const contestants = await startContestants(stage);
  for (const who of contestants) {
    say(`warming up ${who.name}`);
    await underLoad(who, generator, { connections, seconds: WARM_UP_SECONDS });
    mustShare(who);
  }
  const samples = await inTurn(contestants, rounds, async (who, round) => {
    const sample = await underLoad(who, generator, { connections, seconds });
    const figures = `${sample.perSecond.toFixed(0)} requests/s, ${sample.cpu.toFixed(1)} µs`;
    say(`round ${round + 1} of ${rounds}: ${who.name}: ${figures}`);
    return sample;
  });
  /** The same program with one worker. */
  const oneOf = (name: string) => samples.get(name.replace(/\d+ workers?$/, "1 worker")) ?? [];
  return {
    tables: [
      {
        columns: ["", "requests/s", "ratio to one", "CPU µs/request", "p50 ms", "p99 ms", "RSS MiB"],
        rows: [...samples].map(([name, of]) => [
          name,
          medianOf(of, ({ perSecond }) => perSecond).toFixed(0),
          medianRatio(of, oneOf(name), ({ perSecond }) => perSecond).toFixed(2),
          medianOf(of, ({ cpu }) => cpu).toFixed(1),
          medianOf(of, ({ p50 }) => p50).toFixed(2),
          medianOf(of, ({ p99 }) => p99).toFixed(2),
          Math.max(...of.map(({ resident }) => resident)).toFixed(0),
        ]),
      },
    ],
    targets: [],
    notes: [
      `${connections} connections, load by ${generator.name}. This machine has ${navigator.hardwareConcurrency} cores, which the ` +
        "application and the load generator share with the proxy: with two cores a second worker can hardly show what it is worth. " +
        "Ratios are of requests/s to those of the same program with one.",
    ],
    figures: Object.fromEntries(samples),
  };
}

async function startContestants(stage: Stage): Promise<Contestant[]> {
  const { port: upstreamPort } = await startSmallApplication(stage);
  const gateways: Contestant[] = [];
  const servers: Contestant[] = [];
  for (const workers of [1, 2]) {
    const name = workers === 1 ? "1 worker" : `${workers} workers`;
    const gateway = await startRunegate(stage, {
      name: `runegate-${workers}`,
      upstreamPort,
      options: { RUNEGATE_WORKERS: String(workers) },
    });
    gateways.push(contestant(`Runegate, ${name}`, gateway.cookie, gateway));
    const nginx = await startNginxProxy(stage, { name: `nginx-${workers}`, upstreamPort, workers });
    servers.push(contestant(`nginx, ${name}`, gateway.cookie, nginx));
  }
  return [...servers, ...gateways];
}

/** Of what a worker has used after a warm-up: more than starting takes. */
const BUSY_SECONDS = 0.15;

/** @throws {BenchError} if what was to be two workers is one. */
function mustShare(who: Contestant): void {
  if (!who.name.endsWith("2 workers")) return;
  const busy = processesOf(who).filter((pid) => cpuSeconds([pid]) > BUSY_SECONDS).length;
  if (busy < 2) throw new BenchError(`${who.name}: ${busy} process does all the work.`);
}
