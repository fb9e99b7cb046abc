import { readlinkSync } from "node:fs";

/**
 * Machines that are network namespaces (network_namespaces(7)), on two switches: on one they are visited, on the other is the
 * store. All of it lies in a namespace of its own, which `run.ts` starts itself in, and is gone with it.
 */
export type Machine = {
  readonly name: string;
  /** What runs a command there. */
  readonly enter: readonly string[];
  /** On the switch of the store. */
  readonly address: string;
};

export type Front = Machine & {
  /** Where it is visited. */
  readonly visited: string;
  /** Cuts the way to the store: what is sent on it is lost, or is refused at once. */
  cut(how: Cut): Promise<void>;
  mend(how: Cut): Promise<void>;
};

export type Cut = "silent" | "refusing";

const VISITED = "10.77.0";
const KEPT = "10.78.0";
/** Where the simulation itself is found: application, mail server, and what plays the edge. */
export const OUTSIDE = `${VISITED}.1`;
const STORE = `${KEPT}.200`;

/** @throws if a command fails, with what it said. */
export async function command(...args: readonly string[]): Promise<string> {
  const child = Bun.spawn([...args], { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (code !== 0) throw new Error(`${args.join(" ")}: ${err || out}`);
  return out;
}

export async function buildNetwork(gateways: number): Promise<{ fronts: Front[]; store: Machine }> {
  await command("ip", "link", "set", "lo", "up");
  for (const [bridge, net] of [
    ["visited", VISITED],
    ["kept", KEPT],
  ] as const) {
    await command("ip", "link", "add", bridge, "type", "bridge");
    await command("ip", "address", "add", `${net}.1/24`, "dev", bridge);
    await command("ip", "link", "set", bridge, "up");
  }
  const store = await machine("store", STORE);
  const fronts: Front[] = [];
  for (let n = 1; n <= gateways; n++) {
    const kept = await machine(`g${n}`, `${KEPT}.${10 + n}`);
    const visited = `${VISITED}.${10 + n}`;
    await plug(kept, "visited", visited);
    const toStore = ["ip", "route", "add", "unreachable", `${STORE}/32`];
    fronts.push({
      ...kept,
      visited,
      async cut(how) {
        if (how === "silent") await command("ip", "link", "set", portOf(kept.name, "kept"), "down");
        else await command(...kept.enter, ...toStore);
      },
      async mend(how) {
        if (how === "silent") await command("ip", "link", "set", portOf(kept.name, "kept"), "up");
        else await command(...kept.enter, ...toStore.with(2, "del"));
      },
    });
  }
  return { fronts, store };
}

const portOf = (machine: string, bridge: string) => `${machine}-${bridge}`;

async function machine(name: string, address: string): Promise<Machine> {
  const { pid } = Bun.spawn(["unshare", "--net", "sleep", "infinity"], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  const ours = readlinkSync("/proc/self/ns/net");
  // It is another one from the moment on that it sleeps.
  while (readlinkSync(`/proc/${pid}/ns/net`) === ours) await Bun.sleep(2);
  const made = { name, enter: ["nsenter", `--net=/proc/${pid}/ns/net`], address };
  await command(...made.enter, "ip", "link", "set", "lo", "up");
  await plug(made, "kept", address);
  return made;
}

/** Lays a cable from a machine to a switch. */
async function plug({ name, enter }: Machine, bridge: string, address: string): Promise<void> {
  const port = portOf(name, bridge);
  const pid = enter.join(" ").match(/\d+/)?.[0] ?? "";
  await command("ip", "link", "add", port, "type", "veth", "peer", "name", bridge, "netns", pid);
  await command("ip", "link", "set", port, "master", bridge, "up");
  await command(...enter, "ip", "address", "add", `${address}/24`, "dev", bridge);
  await command(...enter, "ip", "link", "set", bridge, "up");
}
