import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { frontOfEach } from "../process/front.ts";
import { openStage, until } from "../process/stage.ts";
import { needs } from "../support/needs.ts";
import { freePort, startProcess } from "../support/process.ts";
import { exchange } from "../support/raw.ts";
import { expressionsOf } from "./dashboard.ts";
import { scrapeText } from "./scrape.ts";

/** Prometheus itself on what it is to read: Debian's `prometheus` and `promtool`. */

setDefaultTimeout(90_000);

const deploy = join(import.meta.dir, "../../deploy");

async function promtool(args: readonly string[], input = ""): Promise<{ code: number; output: string }> {
  const child = Bun.spawn(["promtool", ...args], {
    stdin: new Blob([input]),
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return { code: await child.exited, output: out + err };
}

/** A gateway of two workers to which something of each kind has happened. */
async function openVisited(port: number) {
  const stage = await openStage({
    ...{ workers: 2, sqlite: true },
    options: { RUNEGATE_METRICS_LISTEN: `127.0.0.1:${port}`, RUNEGATE_API_KEYS: "true" },
  });
  const cookie = `Cookie: ${await stage.signIn()}`;
  for (const front of await frontOfEach(stage)) {
    await front.ask("GET /", [cookie]);
    await front.ask("GET /");
    await front.ask("GET /", ["Authorization: Bearer rg_nonsense"]);
    await front.ask("GET /auth?token=nonsense");
    await front.ask("GET /_runegate/check/traefik");
    front.wire.destroy();
  }
  await exchange(stage.port, "GET /drip?n=3&ms=1", [cookie]);
  return stage;
}

describe.skipIf(needs("promtool") === undefined)("promtool", () => {
  test("H4 finds nothing wrong with what is measured", async () => {
    const port = freePort();
    await using _ = await openVisited(port);
    const text = await scrapeText(port);
    expect(text).toMatch(/^runegate_http_requests_total\{route="default",code="2xx",kind="http"\} 3$/m);
    expect(await promtool(["check", "metrics"], text)).toEqual({ code: 0, output: "" });
  });

  test("would find it: a counter without its name's end, a name that is declared twice", async () => {
    const wrong = "# HELP a A.\n# TYPE a counter\na 1\n";
    expect((await promtool(["check", "metrics"], wrong)).code).not.toBe(0);
    expect((await promtool(["check", "metrics"], wrong + wrong)).code).not.toBe(0);
  });

  test.each([
    ["rules", "runegate.rules.yml"],
    ["config", "prometheus.yml"],
  ])("takes the %s", async (kind, file) => {
    const { code, output } = await promtool(["check", kind, join(deploy, "prometheus", file)]);
    expect([code, output]).toEqual([0, expect.stringContaining("SUCCESS")]);
  });

  test("each alert fires when it should, and not before", async () => {
    const { code, output } = await promtool(["test", "rules", join(import.meta.dir, "alerts.yml")]);
    expect([code, output]).toEqual([0, expect.stringContaining("SUCCESS")]);
  });
});

describe.skipIf(needs("prometheus") === undefined)("Prometheus", () => {
  test("reads them by the configuration that is shipped, and answers every panel of the dashboard", async () => {
    const port = freePort();
    await using _ = await openVisited(port);
    const folder = mkdtempSync(join(tmpdir(), "runegate-prometheus-"));
    const configuration = readFileSync(join(deploy, "prometheus/prometheus.yml"), "utf8")
      .replaceAll("127.0.0.1:9870", `127.0.0.1:${port}`)
      .replace("scrape_interval: 30s", "scrape_interval: 1s")
      .replace("runegate.rules.yml", join(deploy, "prometheus/runegate.rules.yml"));
    writeFileSync(join(folder, "prometheus.yml"), configuration);
    const own = freePort();
    const prometheus = startProcess([
      "prometheus",
      `--config.file=${folder}/prometheus.yml`,
      `--storage.tsdb.path=${folder}/data`,
      `--web.listen-address=127.0.0.1:${own}`,
    ]);
    async function query(expression: string): Promise<readonly { value: [number, string] }[]> {
      const asked = `http://127.0.0.1:${own}/api/v1/query?query=${encodeURIComponent(expression)}`;
      const answer = (await (await fetch(asked)).json()) as {
        status: string;
        error?: string;
        data: { result: { value: [number, string] }[] };
      };
      if (answer.status !== "success") throw new Error(`${expression}: ${answer.error}`);
      return answer.data.result;
    }
    try {
      await prometheus.waitFor(/ready to receive web requests/, 30_000);
      const isUp = async () => (await query('up{job="runegate"}'))[0]?.value[1] === "1";
      await until("it has been read", () => isUp().catch(() => false), 30_000);
      const scrapes = async () =>
        Number((await query("count_over_time(runegate_sessions[1m])"))[0]?.value[1]);
      await until("it has been read again", async () => (await scrapes()) >= 3, 30_000);
      expect((await query("runegate_sessions"))[0]?.value[1]).toBe("1");
      const empty: string[] = [];
      for (const expression of expressionsOf(readFileSync(join(deploy, "grafana/runegate.json"), "utf8"))) {
        const asked = expression.replaceAll("$__rate_interval", "1m").replaceAll("$job", ".+");
        if ((await query(asked)).length === 0) empty.push(expression);
      }
      // There are no hooks here, no TLS and no tunnel.
      const absent = /runegate_(?:hook_total|certificate_expires_seconds|tunnel_)/;
      expect(empty.filter((one) => !absent.test(one))).toEqual([]);
    } finally {
      prometheus.signal("SIGTERM");
      await prometheus.exited;
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
