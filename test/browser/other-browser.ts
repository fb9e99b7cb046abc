import { openTab, type Tab, type TabSettings } from "./tab.ts";

/**
 * Somebody's other browser: another Chromium, in a process of its own, with a cookie jar of its own. Run as a program,
 * this file is that process; imported, it starts one and passes on what is done to its tab.
 */
export type OtherBrowser = {
  /** Opens its one tab, in place of the one before. */
  openTab(settings?: TabSettings): Promise<Tab>;
  stop(): Promise<void>;
};

type Call = { readonly id: number; readonly method: string; readonly args: readonly unknown[] };
type Answer = { readonly id: number; readonly value?: unknown; readonly problem?: string };

export function startOtherBrowser(): OtherBrowser {
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  let calls = 0;
  const child = Bun.spawn([process.execPath, import.meta.path], {
    stdio: ["ignore", "inherit", "inherit"],
    serialization: "json",
    ipc({ id, value, problem }: Answer) {
      const answer = waiting.get(id);
      waiting.delete(id);
      if (problem === undefined) answer?.resolve(value);
      else answer?.reject(new Error(`in the other browser: ${problem}`));
    },
    onExit() {
      for (const { reject } of waiting.values()) reject(new Error("the other browser is gone"));
    },
  });

  function call(method: string, args: readonly unknown[]): Promise<unknown> {
    const answer = Promise.withResolvers<unknown>();
    const message: Call = { id: ++calls, method, args };
    waiting.set(message.id, answer);
    child.send(message);
    return answer.promise;
  }

  return {
    async openTab(settings = {}) {
      await call("openTab", [settings]);
      return new Proxy({} as Tab, {
        get(_, method) {
          // A tab is no promise, although `await` asks every object whether it is one.
          if (typeof method !== "string" || method === "then") return undefined;
          return (...args: readonly unknown[]) => call(method, args);
        },
      });
    },
    async stop() {
      child.disconnect();
      await child.exited;
    },
  };
}

if (import.meta.main) {
  let tab: Tab | undefined;
  process.on("disconnect", () => process.exit());
  process.on("message", async ({ id, method, args }: Call) => {
    const answer: { id: number; value?: unknown; problem?: string } = { id };
    try {
      if (method === "openTab") {
        tab = await openTab(args[0] as TabSettings);
      } else {
        const act = (tab as unknown as Record<string, (...args: readonly unknown[]) => unknown>)[method];
        answer.value = await act?.(...args);
      }
    } catch (error) {
      answer.problem = String(error);
    }
    process.send?.(answer);
  });
}
