import { readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Networks of their own between which nothing is but a router each (network_namespaces(7), iptables(8)), for a test that is itself
 * in a namespace: that is the server.
 *
 *     home 192.168.1.2 --- router | 198.51.100.2 --- internet --- 203.0.113.10 server
 *                                                       `-------- 192.0.2.7 visitor
 */

export const HOME_ADDRESS = "192.168.1.2";
export const ROUTER_ADDRESS = "198.51.100.2";
export const SERVER_ADDRESS = "203.0.113.10";

export type Place = "server" | "internet" | "visitor" | "router" | "home";

export type Networks = {
  /** The command line that runs a program at a place, where `name` leads to the server. */
  at(place: Place, command: readonly string[]): string[];
  stop(): void;
};

/** So long the namespaces are there, should nobody stop them. */
const LIFE_SECONDS = 120;

/** @param directory for a file. @param name that the server is known by. @throws with what `ip` or `iptables` said */
export async function makeNetworks(directory: string, name: string): Promise<Networks> {
  const hosts = join(directory, "hosts");
  writeFileSync(hosts, `127.0.0.1 localhost\n${SERVER_ADDRESS} ${name}\n`);
  const keepers = new Map<Place, Bun.Subprocess>();

  function at(place: Place, command: readonly string[]): string[] {
    const keeper = keepers.get(place);
    return [
      ...(keeper === undefined ? [] : ["nsenter", `--net=/proc/${keeper.pid}/ns/net`, "--"]),
      ...["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', hosts, ...command],
    ];
  }

  function sh(place: Place, script: string): void {
    const { exitCode, stdout, stderr } = Bun.spawnSync(at(place, ["sh", "-ec", script]), {
      env: { ...process.env, XTABLES_LOCKFILE: join(directory, "xtables.lock") },
    });
    if (exitCode !== 0) throw new Error(`at the ${place}: ${stdout}${stderr}`);
  }

  async function make(place: Place): Promise<void> {
    const keeper = Bun.spawn(["unshare", "--net", "sleep", String(LIFE_SECONDS)]);
    keepers.set(place, keeper);
    const own = readlinkSync("/proc/self/ns/net");
    while (readlinkSync(`/proc/${keeper.pid}/ns/net`) === own) await Bun.sleep(5);
  }

  /** A cable from `place` to `further`, which has the first address of its network and is where all else is. */
  function lay(place: Place, address: string, further: Place, gateway: string): void {
    const pid = keepers.get(further)?.pid;
    sh(
      place,
      `ip link set lo up
       ip link add to-${further} type veth peer name to-${place} netns ${pid}
       ip addr add ${address}/24 dev to-${further}; ip link set to-${further} up
       ip route add default via ${gateway}`,
    );
    sh(further, `ip link set lo up; ip addr add ${gateway}/24 dev to-${place}; ip link set to-${place} up`);
  }

  const stop = () => {
    for (const keeper of keepers.values()) keeper.kill();
  };
  try {
    for (const place of ["internet", "visitor", "router", "home"] as const) await make(place);
    lay("server", SERVER_ADDRESS, "internet", "203.0.113.1");
    lay("visitor", "192.0.2.7", "internet", "192.0.2.1");
    lay("router", ROUTER_ADDRESS, "internet", "198.51.100.1");
    lay("home", HOME_ADDRESS, "router", "192.168.1.1");
    // It even knows the way: nothing but the router is in it.
    sh(
      "internet",
      `echo 1 > /proc/sys/net/ipv4/ip_forward; ip route add 192.168.1.0/24 via ${ROUTER_ADDRESS}`,
    );
    sh(
      "router",
      `echo 1 > /proc/sys/net/ipv4/ip_forward
       iptables -t nat -A POSTROUTING -o to-internet -j MASQUERADE
       iptables -P INPUT DROP; iptables -A INPUT -i to-home -j ACCEPT; iptables -A INPUT -i lo -j ACCEPT
       iptables -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
       iptables -P FORWARD DROP; iptables -A FORWARD -i to-home -j ACCEPT
       iptables -A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT`,
    );
    return { at, stop };
  } catch (error) {
    stop();
    throw error;
  }
}
