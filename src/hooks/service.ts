import { routeFor } from "../access/routes.ts";
import { systemPause } from "../clock.ts";
import { cutTarget } from "../edge/target.ts";
import { SignInDenied } from "../login/denied.ts";
import { partsOf } from "../login/next.ts";
import { readBounded } from "../mail/http.ts";
import { messageOf } from "../observe/message-of.ts";
import { SECOND } from "../option/values.ts";
import { shortId } from "../session/record.ts";
import { HOOK_DENIED, HOOK_FAILED } from "./audit.ts";
import { createDelivery } from "./delivery.ts";
import type { CountHook, HookCount, HookFacts, Hooks } from "./hooks.ts";
import { createJudge } from "./judge.ts";
import { createSend, reasonOf } from "./send.ts";
import type { HookSettings } from "./settings.ts";
import type { Hook, HookEvent } from "./table.ts";
import { createTurned } from "./turned.ts";
import { createWaitingCalls } from "./waiting.ts";

/** Behind an answer, and not at a time that can be told beforehand: what follows it shows nothing of a hook being asked. */
const SOON = 0.4 * SECOND;
const SOON_SPREAD = 0.8 * SECOND;
/** For what is decided behind answers while the process ends. */
const STOP_PATIENCE = 7 * SECOND;
const TEST_TIMEOUT = 10 * SECOND;
/** Characters of an answer that are shown. */
const SHOWN_ANSWER = 1000;

export function createHookService(settings: HookSettings): Hooks {
  const { hooks, routes, audit, clock, random, log } = settings;
  const counts = new Map<string, HookCount>();
  const count: CountHook = (hook, outcome) => {
    const before = counts.get(`${hook} ${outcome}`)?.count ?? 0;
    counts.set(`${hook} ${outcome}`, { hook, outcome, count: before + 1 });
  };
  const listening = hooks.filter(({ mode }) => mode === "notify");
  const deciding = hooks.filter(({ mode }) => mode === "decide");
  const turned = createTurned(settings.stores, clock);
  const waiting = createWaitingCalls(settings.stores, settings.keys, random, listening.length);
  const send = createSend(settings);
  const judge = createJudge({ send, count, log, clock });
  const delivery = createDelivery({ ...settings, hooks: listening, waiting, turned, send, count });
  /** What is being decided behind answers, for which nothing waits any more once the process ends. */
  const behind = new Set<Promise<void>>();
  let ending = Promise.withResolvers<void>();

  const newId = () => `msg_${Buffer.from(random.bytes(18)).toString("base64url")}`;
  const on = (all: readonly Hook[], event: HookEvent) => all.filter(({ events }) => events.has(event));

  function routeOf(next: string | undefined): string | undefined {
    if (next === undefined || next === "") return undefined;
    const { origin, path } = partsOf(next, routes.home.origin);
    const site = routes.siteAt(origin);
    return site && routeFor(site, cutTarget(path, 0).path)?.name;
  }

  /** Under 20 KB: each part of it has a bound of its own. */
  function bodyOf(type: HookEvent | "test", about: HookFacts): string {
    const { email, service, client, next, route = routeOf(next), method, login, key, request } = about;
    const data = {
      ...{ email, service, client_ip: client?.ip, route, host: client?.host, method },
      ...{ login: login && shortId(login), key, request },
    };
    return JSON.stringify({ type, timestamp: new Date(clock.now()).toISOString(), data });
  }

  async function queue({ name }: Hook, event: HookEvent, body: string): Promise<void> {
    const drop = (reason: string) => {
      count(name, "dropped");
      audit(HOOK_FAILED, { by: name, of: event, n: "0", reason });
    };
    try {
      if (!(await waiting.add({ id: newId(), hook: name, event, body }, clock.now()))) drop("queue_full");
    } catch (error) {
      log.error("a hook call was not queued", { hook: name, event, reason: messageOf(error) });
      drop("store_unavailable");
    }
  }

  async function decideLater(about: HookFacts, then: (isAllowed: boolean) => Promise<void>): Promise<void> {
    const [byte = 0] = random.bytes(1);
    await Promise.race([settings.pause(SOON + (SOON_SPREAD * byte) / 255), ending.promise]);
    try {
      const call = { id: newId(), body: bodyOf("login_requested", about) };
      await then((await judge(on(deciding, "login_requested"), call)).isAllowed);
    } catch (error) {
      log.error("what was decided behind an answer could not be done", { reason: messageOf(error) });
    }
  }

  const settled = async () => void (await Promise.all(behind));

  return {
    async tell(event, about) {
      const body = bodyOf(event, about);
      await Promise.all(on(listening, event).map((hook) => queue(hook, event, body)));
      delivery.wake();
    },

    async judgeSignIn(about) {
      const call = { id: newId(), body: bodyOf("sign_in", about) };
      const judgment = await judge(on(deciding, "sign_in"), call);
      if (judgment.isAllowed) return judgment;
      const { hook: by, reason, message } = judgment;
      audit(HOOK_DENIED, { by, subject: about.email, client: about.client?.ip, reason });
      throw new SignInDenied(message);
    },

    judgeAsking(about, then) {
      const decided = decideLater(about, then).finally(() => behind.delete(decided));
      behind.add(decided);
    },

    list: () =>
      Promise.all(
        hooks.map(async (hook) => ({
          hook,
          waiting: await waiting.count(hook.name),
          offSince: await turned.offSince(hook),
        })),
      ),

    async test(name) {
      const hook = hooks.find((one) => one.name === name);
      if (hook === undefined) return undefined;
      const began = clock.monotonic();
      const tested = (status: number | undefined, text: string) => ({
        ...{ status, text: text.slice(0, SHOWN_ANSWER) },
        milliseconds: Math.round(clock.monotonic() - began),
      });
      try {
        const response = await send(hook, { id: newId(), body: bodyOf("test", {}) }, TEST_TIMEOUT);
        const text = await readBounded(response);
        if (response.ok) await turned.on(hook);
        return tested(response.status, text);
      } catch (error) {
        return tested(undefined, reasonOf(error));
      }
    },

    counts: () => [...counts.values()],

    async runDue() {
      await settled();
      await delivery.runDue();
    },

    start() {
      ending = Promise.withResolvers<void>();
      delivery.start();
    },

    async stop(withinMs = STOP_PATIENCE) {
      ending.resolve();
      const late = systemPause(Math.min(STOP_PATIENCE, withinMs));
      await Promise.race([Promise.all([settled(), delivery.stop()]), late]);
    },
  };
}
