import { truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { peakMebibytes } from "../accounting.ts";
import {
  type Contestant,
  contestant,
  processesOf,
  spent,
  startBareProxy,
  startScript,
  underLoad,
} from "../contestants.ts";
import { createLoadGenerator } from "../load.ts";
import { findCaddy, startCaddyProxy } from "../rivals/caddy.ts";
import { startNginxProxy } from "../rivals/nginx.ts";
import { startRunegate } from "../runegate.ts";
import {
  type Bench,
  inTurn,
  median,
  medianRatio,
  type Report,
  type Section,
  type Target,
} from "../section.ts";
import { BenchError, type Stage } from "../stage.ts";

/** What it costs to pass bodies on, in both directions. */
export const bodiesSection: Section = {
  name: "bodies",
  summary: "bodies of 100 KB and of 1 GB, down and up",
  atMostSeconds: ({ seconds, rounds, size }) => 60 + 4 * rounds * (seconds + 4 + (4 * size) / 100e6),
  run,
};

const SMALL = 100_000;
const NGINX = "nginx, unbuffered";
const RUNEGATE = "Runegate";

/** Bytes a second, and CPU seconds of the proxy per 10⁹ bytes. */
type Transfer = { readonly bytesPerSecond: number; readonly cpu: number };

const WAYS = ["small down", "small up", "large down", "large up"] as const;
type Sample = Readonly<Record<(typeof WAYS)[number], Transfer>>;

async function run(bench: Bench): Promise<Report> {
  const { stage, effort, say } = bench;
  const { rounds, seconds, connections, size } = effort;
  if (Bun.which("curl") === null) throw new BenchError("This section needs curl: apt-get install curl");
  const generator = createLoadGenerator(stage);
  const contestants = await startContestants(stage);
  const file = join(stage.directory, "large");
  writeFileSync(file, "");
  // A file of nothing but a hole: reading it costs no disk.
  truncateSync(file, size);

  async function small(who: Contestant, load: { path: string; upload?: number }): Promise<Transfer> {
    const sample = await underLoad(who, generator, {
      ...load,
      connections,
      // Two of them fit into one contestant's share of a round.
      seconds: Math.max(1, Math.round(seconds / 2)),
    });
    return { bytesPerSecond: sample.perSecond * SMALL, cpu: (sample.cpu / 1e6 / SMALL) * 1e9 };
  }

  async function large(who: Contestant, args: readonly string[]): Promise<Transfer> {
    const { result: took, cpuSeconds } = await spent(who, () => transfer(stage, who, args, size));
    return { bytesPerSecond: size / took, cpu: cpuSeconds / (size / 1e9) };
  }

  const samples = await inTurn(contestants, rounds, async (who, round) => {
    const sample: Sample = {
      "small down": await small(who, { path: `/bytes/${SMALL}` }),
      "small up": await small(who, { path: "/upload", upload: SMALL }),
      "large down": await large(who, [`/bytes/${size}`]),
      "large up": await large(who, ["/upload", "--upload-file", file]),
    };
    const figures = WAYS.map((way) => `${way} ${megabytes(sample[way])}`).join(", ");
    say(`round ${round + 1} of ${rounds}: ${who.name}: ${figures} MB/s`);
    return sample;
  });
  const peaks = new Map(contestants.map((who) => [who.name, peakMebibytes(processesOf(who))]));

  const columns = (body: string) => [
    body,
    ...["down MB/s", "CPU s/GB", "ratio to nginx", "up MB/s", "CPU s/GB", "ratio to nginx"],
  ];
  const reference = samples.get(NGINX) ?? [];
  const cells = (name: string, way: (typeof WAYS)[number]) => {
    const of = samples.get(name) ?? [];
    return [
      median(of.map((sample) => sample[way].bytesPerSecond / 1e6)).toFixed(0),
      median(of.map((sample) => sample[way].cpu)).toFixed(2),
      medianRatio(of, reference, (sample) => sample[way].cpu).toFixed(2),
    ];
  };
  const names = contestants.map(({ name }) => name);
  return {
    tables: [
      {
        columns: columns("100 KB"),
        rows: names.map((name) => [name, ...cells(name, "small down"), ...cells(name, "small up")]),
      },
      {
        columns: [...columns(inWords(size)), "peak RSS MiB"],
        rows: names.map((name) => [
          name,
          ...cells(name, "large down"),
          ...cells(name, "large up"),
          (peaks.get(name) ?? Number.NaN).toFixed(0),
        ]),
      },
    ],
    targets: (["large down", "large up"] as const).map((way): Target => {
      const ratio = medianRatio(
        samples.get(RUNEGATE) ?? [],
        reference,
        (sample) => sample[way].bytesPerSecond,
      );
      return {
        wanted: `${inWords(size)} ${way.split(" ")[1]}: at least as fast as nginx with \`proxy_buffering off\``,
        got: `${ratio.toFixed(2)} times its speed`,
        met: ratio >= 1,
      };
    }),
    notes: [
      `100 KB over ${connections} connections by ${generator.name}, ${inWords(size)} over one by curl. Ratios are of CPU.`,
    ],
    figures: { peaks: Object.fromEntries(peaks), rounds: Object.fromEntries(samples) },
  };
}

function megabytes({ bytesPerSecond }: Transfer): string {
  return (bytesPerSecond / 1e6).toFixed(0);
}

export function inWords(size: number): string {
  return size % 2 ** 30 === 0 ? `${size / 2 ** 30} GiB` : `${size / 2 ** 20} MiB`;
}

async function startContestants(stage: Stage): Promise<Contestant[]> {
  const { port: upstreamPort } = await startScript(stage, "raw", "applications/raw.ts");
  const runegate = await startRunegate(stage, { name: "runegate", upstreamPort });
  const { cookie } = runegate;
  const nginx = await startNginxProxy(stage, { name: "nginx", upstreamPort, unbuffered: true });
  const caddy = findCaddy();
  const bare = await startBareProxy(stage, upstreamPort);
  return [
    contestant(NGINX, cookie, nginx),
    ...(caddy === undefined
      ? []
      : [contestant("Caddy", cookie, await startCaddyProxy(stage, caddy, upstreamPort))]),
    contestant(RUNEGATE, cookie, runegate),
    contestant("`Bun.serve` + `fetch`, bare", cookie, bare),
  ];
}

/** One body of `size` bytes over one connection. @returns the seconds it took. @throws {BenchError} if not all of it went. */
export async function transfer(
  stage: Stage,
  { port, cookie }: Pick<Contestant, "port" | "cookie">,
  [path, ...args]: readonly string[],
  size: number,
): Promise<number> {
  const seconds = Math.ceil(10 + size / 50e6);
  const report = "%{http_code} %{size_download} %{size_upload} %{time_total}";
  const command = [
    ...["curl", "--silent", "--show-error", "--max-time", String(seconds), "--output", "/dev/null"],
    ...["--write-out", report, "--header", `Cookie: ${cookie}`, "--header", "Expect:", ...args],
    `http://127.0.0.1:${port}${path}`,
  ];
  const output = await stage.run(command, seconds + 5);
  const [status, down = 0, up = 0, took = Number.NaN] = output.trim().split(" ").map(Number);
  if (status === 200 && Math.max(down, up) === size && took > 0) return took;
  throw new BenchError(`A body did not go through as it should: ${output}`);
}
