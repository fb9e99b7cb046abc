import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openStage, type Stage } from "../process/stage.ts";
import { makeCertificate } from "../support/certificate.ts";
import { needs, skipBecause } from "../support/needs.ts";
import { freePort } from "../support/process.ts";
import { until } from "./support.ts";

/** Every way of syslog, to Debian's rsyslogd, from the process that users run. */

setDefaultTimeout(60_000);

const rsyslogd = needs("rsyslogd");
const driver = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64"]
  .map((folder) => `${folder}/rsyslog/lmnsd_ossl.so`)
  .find(existsSync);
if (rsyslogd !== undefined && driver === undefined) skipBecause("rsyslog-openssl is not installed");

type Message = Readonly<Record<"input" | "pri" | "app" | "id" | "data" | "text", string>>;

describe.skipIf(rsyslogd === undefined || driver === undefined)("a real rsyslogd", () => {
  let folder: string;
  let daemon: Bun.Subprocess;
  let stage: Stage;
  const ports = { udp: freePort(), tcp: freePort(), tls: freePort(), other: freePort() };

  const received = (): Message[] => {
    const out = join(folder, "out");
    if (!existsSync(out)) return [];
    return readFileSync(out, "utf8")
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => {
        const [input = "", pri = "", app = "", id = "", data = "", ...text] = line.split("|");
        return { input, pri, app, id, data, text: text.join("|").trim() };
      });
  };
  const by = (input: string) => received().filter((one) => one.input === input);

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "rsyslogd-"));
    const good = makeCertificate({ names: ["localhost"] });
    const wrong = makeCertificate({ names: ["elsewhere.example"], addresses: [] });
    const write = (name: string, text: string) => {
      writeFileSync(join(folder, name), text);
      return join(folder, name);
    };
    const tls = (name: string, { key, cert }: { key: string; cert: string }) =>
      `StreamDriver.Name="ossl" StreamDriver.Mode="1" StreamDriver.AuthMode="anon" ` +
      `StreamDriver.KeyFile="${write(`${name}.key`, key)}" StreamDriver.CertFile="${write(`${name}.pem`, cert)}" ` +
      `StreamDriver.CAFile="${join(folder, `${name}.pem`)}"`;
    const config = write(
      "rsyslog.conf",
      `global(workDirectory="${folder}" defaultNetstreamDriver="ossl"
  defaultNetstreamDriverCAFile="${join(folder, "good.pem")}" defaultNetstreamDriverCertFile="${join(folder, "good.pem")}"
  defaultNetstreamDriverKeyFile="${join(folder, "good.key")}")
module(load="imuxsock" SysSock.Use="off")
module(load="imudp")
module(load="imtcp")
input(type="imuxsock" Socket="${join(folder, "log")}" UseSpecialParser="off")
input(type="imudp" address="127.0.0.1" port="${ports.udp}" name="udp")
input(type="imtcp" address="127.0.0.1" port="${ports.tcp}" name="tcp")
input(type="imtcp" port="${ports.tls}" name="tls" ${tls("good", good)})
input(type="imtcp" port="${ports.other}" name="other" ${tls("wrong", wrong)})
template(name="t" type="string" string="%inputname%|%pri%|%app-name%|%msgid%|%structured-data%|%msg%\\n")
*.* action(type="omfile" file="${join(folder, "out")}" template="t" ioBufferSize="1k" asyncWriting="off")
`,
    );
    daemon = Bun.spawn([rsyslogd ?? "", "-n", "-f", config, "-i", join(folder, "pid")], {
      stdout: Bun.file(join(folder, "said")),
      stderr: Bun.file(join(folder, "said")),
    });
    await until(() => existsSync(join(folder, "log")) && existsSync(join(folder, "pid")));
    const trusted = write("trusted.pem", good.cert + wrong.cert);
    stage = await openStage({
      workers: 2,
      env: { NODE_EXTRA_CA_CERTS: trusted },
      options: {
        RUNEGATE_LOG_SINKS: [
          `syslog:unix:${join(folder, "log")}`,
          `syslog+udp://localhost:${ports.udp}`,
          `syslog+tcp://localhost:${ports.tcp}`,
          `syslog+tls://localhost:${ports.tls}`,
          `syslog+tls://localhost:${ports.other}`,
        ].join(","),
        RUNEGATE_AUDIT_SINKS: `syslog+tls://localhost:${ports.tls}`,
      },
    });
  });
  afterAll(async () => {
    await stage?.[Symbol.asyncDispose]();
    daemon?.kill("SIGKILL");
    await daemon?.exited;
    rmSync(folder, { recursive: true, force: true });
  });

  const isListening = (one: Message) => one.text.includes('"message":"listening"');

  test.each(["imuxsock", "udp", "tcp", "tls"])("takes a line by %s as RFC 5424", async (input) => {
    await until(() => by(input).some(isListening));
    const one = by(input).find(isListening);
    expect(one).toMatchObject({ pri: `${16 * 8 + 6}`, app: "runegate", id: "main" });
    expect(one?.data).toMatch(/^\[origin software="runegate" swVersion="[\d.]+"\]\[meta sequenceId="\d+"\]$/);
    expect(JSON.parse(one?.text ?? "")).toMatchObject({ level: "info", module: "main", pid: stage.main.pid });
  });

  test("takes the events of all workers, each once, in the audit's facility", async () => {
    const people = Array.from({ length: 8 }, (_, n) => `person${n}@example.org`);
    for (const email of people) await stage.signIn(email);
    const redeemed = () => by("tls").filter(({ pri, id }) => pri === `${10 * 8 + 6}` && id === "redeemed");
    await until(() => redeemed().length >= people.length);
    const who = redeemed().map(({ text }) => JSON.parse(text).email);
    expect(who.sort()).toEqual(people);
    // The log has them too, beside everything else.
    for (const input of ["imuxsock", "udp", "tcp"]) {
      const told = () => by(input).filter(({ text }) => text.includes('"event":"redeemed"'));
      // Those of the audit do not wait for company.
      await until(() => told().length >= people.length);
      expect(told()).toHaveLength(people.length);
    }
  });

  test("H11 gets one frame of a path that would forge others", async () => {
    const before = by("tcp").length;
    stage.configure({ RUNEGATE_REQUEST_LOGS: "true" });
    stage.main.signal("SIGHUP");
    await stage.says(/reloaded/);
    await fetch(`${stage.url}/x%0a%3C34%3E1%20-%20h%20su%20-%20-%20-%20root%00%5D%ff`, {
      redirect: "manual",
    });
    await until(() => by("tcp").some(({ text }) => text.includes("%3C34%3E1")));
    const all = by("tcp").slice(before);
    for (const one of all) expect(one.app).toBe("runegate");
    expect(all.filter(({ text }) => text.includes("%3C34%3E1"))).toHaveLength(1);
  });

  test("of another name is refused, and nothing is sent there", async () => {
    const complaint = () => stage.complaints().find((line) => line.includes(`localhost:${ports.other}`));
    await until(() => complaint() !== undefined);
    expect(complaint()).toMatch(/altname|does not match|ERR_TLS_CERT_ALTNAME_INVALID/i);
    expect(by("other")).toEqual([]);
  });

  test("takes the last lines before the stop", async () => {
    stage.main.signal("SIGTERM");
    await stage.main.exited;
    await until(() => by("tls").some(({ text }) => text.includes('"message":"stopped"')));
  });
});
