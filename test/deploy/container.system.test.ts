import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chownSync, mkdtempSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { type Folder, folder, root, run } from "../build/support.ts";
import { cookieHeader } from "../support/gateway.ts";
import { needs, needsRoot } from "../support/needs.ts";
import { freePort, type RunningProcess, startProcess } from "../support/process.ts";
import { buildImage, type Image, inContainer } from "./image.ts";

setDefaultTimeout(120_000);

const USER = 65532;

type Service = {
  image: string;
  command?: string[];
  environment?: Record<string, string>;
  volumes?: string[];
  ports?: string[];
  networks: string[];
  read_only: boolean;
  tmpfs?: string[];
  cap_drop: string[];
  security_opt: string[];
};

const compose: {
  services: Record<string, Service>;
  networks: Record<string, { internal?: boolean } | null>;
} = Bun.YAML.parse(readFileSync(join(root, "deploy/compose.yaml"), "utf8")) as never;

describe("compose.yaml", () => {
  test.each(Object.entries(compose.services))("%s can write nowhere and become nobody else", (_, service) => {
    expect(service).toMatchObject({
      image: "runegate",
      read_only: true,
      cap_drop: ["ALL"],
      security_opt: ["no-new-privileges:true"],
    });
  });
  test("lets only this machine in, and only to the gateway", () => {
    expect(compose.services.runegate?.ports).toEqual(["127.0.0.1:7870:7870"]);
    expect(compose.services.target?.ports).toBeUndefined();
    expect(compose.services.target?.networks).toEqual(["inside"]);
    expect(compose.networks.inside?.internal).toBe(true);
  });
  test("keeps state in a volume", () =>
    expect(compose.services.runegate?.volumes).toEqual(["state:/var/lib/runegate"]));
});

describe("Dockerfile", () => {
  const dockerfile = readFileSync(join(root, "deploy/Dockerfile"), "utf8");
  test("fetches with the Bun that package.json names", () => {
    const { devDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
    expect(dockerfile).toContain(` docker.io/oven/bun:${devDependencies.bun}-slim AS build`);
  });
  test("copies nothing that was built before", () =>
    expect(dockerfile).not.toMatch(/^(COPY|ADD) (?!--from).*(dist|node_modules)/m));
});

const buildah = needsRoot("to build and confine a container") ? needs("buildah") : undefined;

describe.skipIf(buildah === undefined)("the image", () => {
  let place: Folder;
  let image: Image;
  const started: RunningProcess[] = [];

  beforeAll(async () => {
    place = folder();
    image = await buildImage(buildah ?? "", place.path);
  });
  afterAll(async () => {
    for (const one of started) one.signal("SIGKILL");
    await Promise.all(started.map((one) => one.exited));
    await image?.remove();
    place?.[Symbol.dispose]();
  });

  function state(): string {
    const path = mkdtempSync(join(place.path, "state-"));
    chownSync(path, USER, USER);
    return path;
  }
  function start(command: readonly string[], env: Record<string, string>, at: string): RunningProcess {
    const running = startProcess(inContainer({ image, command, env, state: at }));
    started.push(running);
    return running;
  }

  test("holds the executable, a C library, licenses and two empty folders of its user", () => {
    const files = readdirSync(image.files, { recursive: true, withFileTypes: true })
      .filter((entry) => !entry.isDirectory())
      .map((entry) => join(entry.parentPath, entry.name).slice(image.files.length));
    const loader = process.arch === "arm64" ? "ld-linux-aarch64.so.1" : "ld-linux-x86-64.so.2";
    expect(files.sort()).toEqual([
      `/lib/${loader}`,
      "/lib/libc.so.6",
      "/lib/libdl.so.2",
      "/lib/libm.so.6",
      "/lib/libpthread.so.0",
      `/lib64/${loader}`,
      "/runegate",
      "/usr/share/doc/runegate/LICENSE",
      "/usr/share/doc/runegate/THIRD-PARTY-LICENSES",
    ]);
    for (const own of ["var/lib/runegate", "run/runegate"]) {
      expect(statSync(join(image.files, own)).uid).toBe(USER);
    }
    expect(statSync(join(image.files, "runegate")).uid).toBe(0);
  });

  test("runs as a numbered user and asks itself how it is", () =>
    expect(image.config).toMatchObject({
      User: `${USER}:${USER}`,
      Entrypoint: ["/runegate"],
      Healthcheck: { Test: ["CMD", "/runegate", "health"] },
    }));

  test("knows its options, and a mistake in them", async () => {
    const at = state();
    const good = await run(inContainer({ image, command: ["check"], env: {}, state: at }));
    expect([good.code, good.stdout]).toEqual([0, expect.stringContaining("The configuration is good")]);
    const env = { RUNEGATE_ENV: "production" };
    expect((await run(inContainer({ image, command: ["check"], env, state: at }))).code).toBe(78);
  });

  test("is a gateway in front of the sample, healthy, without rights, and remembers sessions", async () => {
    const at = state();
    const port = freePort();
    const url = `http://127.0.0.1:${port}`;
    const targetPort = freePort();
    const sample = [...(compose.services.target?.command ?? [])];
    sample[sample.indexOf("0.0.0.0:7860")] = `127.0.0.1:${targetPort}`;
    await start(sample, {}, state()).waitFor(/sample application is at/);
    const env = {
      RUNEGATE_LISTEN: `127.0.0.1:${port}`,
      RUNEGATE_BASE_URL: url,
      RUNEGATE_TARGET_SERVICE: `http://127.0.0.1:${targetPort}`,
      // What a restart must not change.
      RUNEGATE_SESSION_KEY: "k".repeat(64),
    };
    const health = () => run(inContainer({ image, command: ["health"], env, state: at }));
    expect((await health()).code).toBe(1);

    const gateway = start([], env, at);
    await gateway.waitFor(/listening/);
    expect(await health()).toEqual({ code: 0, stdout: "ready\n", stderr: "" });
    const status = readFileSync(`/proc/${gateway.pid}/status`, "utf8");
    expect(status).toMatch(new RegExp(`^Uid:\\t${USER}\\t${USER}\\t${USER}\\t${USER}$`, "m"));
    expect(status).toMatch(/^CapEff:\t0+$/m);
    expect(status).toMatch(/^CapPrm:\t0+$/m);
    expect(status).toMatch(/^NoNewPrivs:\t1$/m);

    const asked = await fetch(`${url}/login`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ email: "ada@example.org", next: "/whoami" }),
    });
    const [, link = ""] = await gateway.waitFor(/Mail for ada@example.org\s+Link: (\S+)/);
    const opened = await fetch(link, { redirect: "manual", headers: { Cookie: cookieHeader(asked) } });
    expect(opened.status).toBe(302);
    const whoami = () => fetch(`${url}/whoami`, { headers: { Cookie: cookieHeader(opened) } });
    expect(await (await whoami()).json()).toMatchObject({ identity: { user: "ada@example.org" } });

    gateway.signal("SIGTERM");
    expect(await gateway.exited).toBe(0);
    await start([], env, at).waitFor(/listening/);
    expect((await whoami()).status).toBe(200);
    expect(readdirSync(at)).toContain("runegate.db");
  });
});
