import type { TargetTls } from "../access/route.ts";
import type { Access } from "../config/configuration.ts";
import type { Options } from "../config/options.ts";
import { routesOf } from "../config/routes.ts";
import { ROOT_PATHS } from "../edge/root-paths.ts";
import { isBelow } from "../edge/target.ts";
import { messageOf } from "../observe/message-of.ts";
import { OWN_PREFIX } from "../pages/paths.ts";
import { createToUpstream } from "../proxy/headers.ts";
import { NOTHING_TOLD } from "../proxy/telling.ts";
import { fetchTls } from "../proxy/upstream.ts";
import { originOf, translateLocation, type UpstreamName, upstreamName } from "../proxy/upstream-name.ts";
import type { ProbeResult } from "./probe.ts";
import { probeTarget } from "./probe-target.ts";

/** Every target of every application; where there are several, each line says which it is about. */
export async function probeApplications({ options, routesFile }: Access): Promise<ProbeResult> {
  const { origin } = new URL(options.baseUrl);
  const asked = routesOf(options, routesFile).flatMap((route) =>
    route.targets.map(async (target): Promise<ProbeResult> => {
      const inner = route.stripPath || route.path === "/" ? "/" : `${route.path}/`;
      const probed = await probeApplication({
        ...{ ...route, rootPaths: options.rootPaths, target: target.address, path: target.basePath + inner },
        baseUrl: route.host === undefined ? options.baseUrl : withHost(origin, route.host),
      });
      if (routesFile === undefined) return probed;
      return { ok: probed.ok, lines: probed.lines.map((line) => `${route.name}: ${line}`) };
    }),
  );
  const results = await Promise.all(asked);
  return { ok: results.every(({ ok }) => ok), lines: results.flatMap(({ lines }) => lines) };
}

/** @param host a route's; of a wildcard, one of its names. */
function withHost(origin: string, host: string): string {
  const url = new URL(origin);
  url.hostname = host.replace("*", "www");
  return url.origin;
}

/**
 * Asks the application for its first page as Runegate would for somebody who is signed in, and says what would keep its users out: a name
 * that it does not know, or a redirect that comes back to Runegate. It is told of nobody, so no account is made for anybody.
 */
export async function probeApplication(options: ProbedOptions): Promise<ProbeResult> {
  const reached = await probeTarget(options.target, options.connectTimeout, options.tls);
  // Who is connected for a tunnel is known to the process that serves.
  if (!reached.ok || options.target.kind === "tunnel") return reached;
  const name = upstreamName(options);
  let answer: Answer;
  try {
    answer = await ask(options, name);
    const lines = [
      ...reached.lines,
      `GET ${pathOf(options)} for ${hostOf(options, name)} is answered with ${inWords(answer)}.`,
    ];
    if (answer.status === 400 || answer.status === 403 || answer.status === 421) {
      return await aboutRefusal(options, name, answer, lines);
    }
    return { ok: true, lines: [...lines, ...aboutRedirect(options, answer.path)] };
  } catch (error) {
    return {
      ok: false,
      lines: [...reached.lines, `GET ${pathOf(options)} is not answered: ${messageOf(error)}`],
    };
  }
}

type ProbedOptions = Pick<Options, "baseUrl" | "connectTimeout" | "hostHeader" | "rootPaths" | "target"> & {
  readonly tls?: TargetTls | undefined;
  /** What is asked for; `/` unless it says something else. */
  readonly path?: string;
};

const pathOf = ({ path = "/" }: ProbedOptions) => path;

/** `path` is where a redirect leads on the public origin, without its query, which may hold a secret. */
type Answer = { readonly status: number; readonly path: string | undefined };

const hostOf = ({ baseUrl }: ProbedOptions, name: UpstreamName | undefined) =>
  name?.host ?? new URL(baseUrl).host;

const inWords = ({ status, path }: Answer) => (path === undefined ? String(status) : `${status} to ${path}`);

async function ask(options: ProbedOptions, name: UpstreamName | undefined): Promise<Answer> {
  const { baseUrl, target, connectTimeout } = options;
  const { host, protocol } = new URL(baseUrl);
  const client = {
    ip: "127.0.0.1",
    proto: protocol === "https:" ? "https" : "http",
    host,
    forwardedFor: "127.0.0.1",
    peerTrusted: false,
    ipIsCertain: true,
  } as const;
  const asked = { accept: "text/html", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" };
  const response = await fetch(originOf(target) + pathOf(options), {
    headers: createToUpstream(name, NOTHING_TOLD)(asked, { client, cookie: undefined, principal: undefined }),
    redirect: "manual",
    decompress: false,
    proxy: false,
    signal: AbortSignal.timeout(connectTimeout),
    ...(target.kind === "unix" ? { unix: target.path } : {}),
    ...(options.tls === undefined ? {} : { tls: fetchTls(options.tls) }),
  } as RequestInit);
  await response.body?.cancel();
  const { status, headers } = response;
  const location = status >= 300 && status <= 399 ? headers.get("location") : null;
  if (location === null) return { status, path: undefined };
  const translated = name === undefined ? undefined : translateLocation(location, name);
  const to = URL.parse(translated ?? location, baseUrl + pathOf(options));
  return { status, path: to?.origin === baseUrl ? to.pathname : undefined };
}

/** Whether it is the name that is refused is seen by asking for another. */
async function aboutRefusal(
  options: ProbedOptions,
  name: UpstreamName | undefined,
  answer: Answer,
  lines: readonly string[],
): Promise<ProbeResult> {
  const target = upstreamName({ ...options, hostHeader: "target" });
  if (target !== undefined && target.host !== name?.host) {
    const again = await ask(options, target);
    if (again.status !== answer.status) {
      return {
        ok: false,
        lines: [
          ...lines,
          `GET ${pathOf(options)} for ${target.host} is answered with ${inWords(again)}: it refuses the other name.`,
          "Set RUNEGATE_HOST_HEADER=target, or make the name known to the application.",
        ],
      };
    }
  }
  return {
    ok: true,
    lines: [...lines, "Unless it lets its users in by who they are, they will see that too."],
  };
}

function aboutRedirect({ rootPaths }: ProbedOptions, path: string | undefined): string[] {
  if (path === undefined) return [];
  const isRoot = ROOT_PATHS.some((root) => root === path);
  const remedy =
    rootPaths === true && isRoot
      ? "Set RUNEGATE_ROOT_PATHS=auto, so that it reaches its own page."
      : "Let it know its users by X-Forwarded-Email, or send them to a page of its own.";
  return (rootPaths === true && isRoot) || isBelow(path, OWN_PREFIX)
    ? [`${path} is Runegate's own, so whoever is signed in would be sent back and forth.`, remedy]
    : [];
}
