import { describe, expect, test } from "bun:test";
import { shownSinks, sinkAddress } from "../../src/sinks/address.ts";
import { SINK_OPTIONS } from "../../src/sinks/options.ts";
import { outcome } from "../support/outcome.ts";

const file = (changes = {}) => ({
  ...{ kind: "file", path: "/var/log/r/r.log", max: 50 * 2 ** 20, daily: false, keep: 7, mode: 0o640 },
  ...{ name: "file:/var/log/r/r.log", ...changes },
});

describe("the URL of a sink", () => {
  test.each<[string, object]>([
    ["file:/var/log/r/r.log", file()],
    ["file:///var/log/r/r.log", file()],
    [
      "file:/var/log/r/r.log?max=1MB&keep=0&mode=0600&every=day",
      file({ max: 1e6, keep: 0, mode: 0o600, daily: true }),
    ],
    ["syslog:unix:/dev/log", { kind: "syslog-unix", path: "/dev/log", name: "syslog:unix:/dev/log" }],
    ["syslog+udp://logs.example.org", { kind: "syslog-udp", host: "logs.example.org", port: 514 }],
    ["syslog+tcp://logs.example.org", { kind: "syslog-tcp", host: "logs.example.org", port: 601 }],
    ["syslog+tls://logs.example.org", { kind: "syslog-tls", host: "logs.example.org", port: 6514 }],
    ["syslog+tls://[2001:db8::1]:7000", { kind: "syslog-tls", host: "2001:db8::1", port: 7000 }],
    [
      "otlp+https://c.example.org/v1/logs",
      { kind: "otlp", url: "https://c.example.org/v1/logs", name: "otlp+https://c.example.org/…" },
    ],
    ["otlp+http://127.0.0.1:4318/v1/logs", { kind: "otlp", url: "http://127.0.0.1:4318/v1/logs" }],
    [
      "https://c.example.org/in?x=1",
      { kind: "ndjson", url: "https://c.example.org/in?x=1", basic: undefined },
    ],
    [
      "https://u:p%40w@c.example.org/in",
      { kind: "ndjson", url: "https://c.example.org/in", basic: `Basic ${btoa("u:p@w")}` },
    ],
    [
      "https://c.example.org/in#bearer-file=/etc/runegate/logs.token",
      { kind: "ndjson", url: "https://c.example.org/in", bearerFile: "/etc/runegate/logs.token" },
    ],
  ])("%s", (text, expected) => expect(sinkAddress(text)).toMatchObject(expected));

  test.each<[string, RegExp]>([
    ["/var/log/r.log", /not the URL of a sink/],
    ["ftp://logs.example.org", /not the URL of a sink/],
    ["file:r.log", /names no file/],
    ["file://host/r.log", /names no file/],
    ["file:/var/log/", /names no file/],
    ["file:/r.log?size=1MB", /does not know "size"/],
    ["file:/r.log?max=big", /has a max that is not a size/],
    ["file:/r.log?max=unlimited", /has a max that is out of range/],
    ["file:/r.log?keep=-1", /has a keep that is not a whole number/],
    ["file:/r.log?mode=9", /has a mode that is not a mode/],
    ["file:/r.log?every=hour", /begins anew every "hour"/],
    ["syslog:/dev/log", /names no socket/],
    ["syslog:unix:dev/log", /not the absolute path/],
    ["syslog+tcp://", /not the URL|not a syslog server/],
    ["syslog+tcp://host/path", /not a syslog server/],
    ["syslog+tls://u:p@host", /not a syslog server/],
    ["otlp+https://c.example.org", /has no path/],
    ["otlp+http://c.example.org/v1/logs", /unencrypted/],
    ["http://c.example.org/in", /unencrypted/],
    ["https://c.example.org/in#token=abc", /after its # that is not understood/],
    ["https://c.example.org/in#bearer-file=token", /after its # that is not understood/],
    ["https://u:p@c.example.org/in#bearer-file=/t", /a user and a bearer-file/],
  ])("%s is refused", (text, problem) =>
    expect(outcome(sinkAddress, text)).toEqual({ problem: expect.stringMatching(problem) }),
  );

  test.each([
    "https://user:hunter2@c.example.org/in",
    "https://c.example.org/hunter2",
    "https://c.example.org/in?token=hunter2",
    "https://c.example.org/in#bearer=hunter2",
    "otlp+http://user:hunter2@c.example.org/v1/logs",
    "http://user:hunter2@c.example.org/",
    "htps://user:hunter2@c.example.org/in",
    "https:user:hunter2@c.example.org",
    "https://user:pa/hunter2@c.example.org/in",
    "user:hunter2@c.example.org",
    "https://user:hunter2",
    "hunter2@c.example.org",
    "syslog+tls://user:hunter2@host",
  ])("shows no secret of %s", (text) => {
    expect(shownSinks(text)).not.toContain("hunter2");
    const found = outcome(sinkAddress, text);
    expect("problem" in found ? found.problem : found.name).not.toContain("hunter2");
  });

  test("says where it goes all the same", () => {
    expect(shownSinks("https://u:p@c.example.org:8443/in?x=y, file:/var/log/r.log?max=1MB")).toBe(
      "https://c.example.org:8443/…,file:/var/log/r.log?max=1MB",
    );
  });
});

describe("a list of sinks", () => {
  const { parse } = SINK_OPTIONS.logSinks;
  test("may be empty", () => expect(parse("")).toEqual([]));
  test("has none twice", () =>
    expect(outcome(parse, "file:/a.log file:/a.log")).toEqual({ problem: "has file:/a.log twice" }));
  test("tells two of one host apart, without their paths", () =>
    expect(parse("https://h.example/a,https://h.example/b").map(({ name }) => name)).toEqual([
      "https://h.example/…",
      "https://h.example/… (2)",
    ]));
  test("names everything that is wrong in it", () =>
    expect(outcome(parse, "file:/a.log?x=1,http://h.example/a")).toEqual({
      problem: expect.stringMatching(/does not know "x"; .*unencrypted/),
    }));
});
