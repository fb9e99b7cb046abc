import { NO_GROUPS } from "../identity/principal.ts";
import type { Hooks } from "./hooks.ts";
import type { HookSettings } from "./settings.ts";
import type { HookEvent } from "./table.ts";

/** Hooks by what configuration says of them. All but this is loaded when there is something to tell or to ask. */
export function createHooks(settings: HookSettings): Hooks {
  const { hooks } = settings;
  if (hooks.length === 0) return NONE;
  let loaded: Promise<Hooks> | undefined;
  const load = () => {
    loaded ??= import("./service.ts").then(({ createHookService }) => createHookService(settings));
    return loaded;
  };
  const isAny = (mode: "notify" | "decide", event: HookEvent) =>
    hooks.some((hook) => hook.mode === mode && hook.events.has(event));
  let count: Hooks["counts"] = NONE.counts;
  const tell: Hooks["tell"] = async (event, about) => {
    if (isAny("notify", event)) await (await load()).tell(event, about);
  };
  if (isAny("notify", "access_requested")) {
    settings.auditEvents.listen(({ event, outcome, subject, client, route }) => {
      if (event !== "access_requested" || outcome !== "ok") return;
      void tell(event, { email: subject, client: client === undefined ? undefined : { ip: client }, route });
    });
  }

  return {
    tell,
    judgeSignIn: async (about) =>
      isAny("decide", "sign_in") ? (await load()).judgeSignIn(about) : NONE.judgeSignIn(about),
    judgeAsking: isAny("decide", "login_requested")
      ? (about, then) => void load().then(({ judgeAsking }) => judgeAsking?.(about, then))
      : undefined,
    list: async () => (await load()).list(),
    test: async (name) => (await load()).test(name),
    counts: () => count(),
    runDue: async () => (await load()).runDue(),
    start() {
      void load().then((service) => {
        count = service.counts;
        service.start();
      });
    },
    stop: async (withinMs) => (await loaded)?.stop(withinMs),
  };
}

const NONE: Hooks = {
  async tell() {},
  judgeSignIn: async () => ({ added: NO_GROUPS, maxAge: undefined }),
  judgeAsking: undefined,
  list: async () => [],
  test: async () => undefined,
  counts: () => [],
  async runDue() {},
  start() {},
  async stop() {},
};
