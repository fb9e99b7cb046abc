import { mkdir } from "node:fs/promises";
import { needs } from "../support/needs.ts";

/**
 * A tab of Debian's Chromium, and a person in front of it who clicks and types. Nothing here waits for a length of
 * time: it waits for what a person would wait for, and gives up after {@link PATIENCE_MS}.
 *
 * Arguments and answers are plain data, so that a tab in another process (`other-browser.ts`) can be used alike.
 */
export type Tab = {
  /** Goes to an address, as typed in the address bar. */
  open(url: string): Promise<void>;
  /** Clicks the middle of an element, once nothing lies over it. */
  click(selector: string): Promise<void>;
  /** Clicks what leads to another page, and waits for that. */
  follow(selector: string): Promise<void>;
  /** Into whatever has the focus. */
  type(text: string): Promise<void>;
  press(key: string): Promise<void>;
  /** Presses a key that leads to another page, and waits for that. */
  pressThrough(key: string): Promise<void>;
  back(): Promise<void>;
  reload(): Promise<void>;
  /** Path and query of the page shown. */
  where(): Promise<string>;
  heading(): Promise<string>;
  /** All the text that can be seen. */
  text(): Promise<string>;
  /** What a synchronous expression gives in the page, which works with scripts off too. */
  evaluate(expression: string): Promise<unknown>;
  /** Waits for an expression to be true, on this page or one that follows by itself. */
  until(expression: string): Promise<void>;
  /** Lets time go by in the tab, where nobody waits for it. */
  passTime(milliseconds: number): Promise<void>;
  appear(appearance: Appearance): Promise<void>;
  /** Saves the whole page as `screenshots/<name>.png`. */
  screenshot(name: string): Promise<void>;
  /** The accessibility tree: what a screen reader is told. */
  accessible(): Promise<AccessibleNode[]>;
  /**
   * What the browser complained of since it was last asked: script errors, policy violations, other issues, parts that
   * could not be loaded.
   */
  complaints(): Promise<string[]>;
  /** A command of the DevTools protocol, for what no person does; gives its answer. */
  devtools(method: string, parameters?: Readonly<Record<string, unknown>>): Promise<unknown>;
  /** Every URL that was asked for, but what the page's own policy kept from going out. */
  requests(): Promise<string[]>;
  close(): Promise<void>;
};

export type Appearance = { readonly scheme?: "light" | "dark"; readonly width?: number };

export type AccessibleNode = {
  readonly role: string;
  readonly name: string;
  /** Of a field: what else is read out with it. */
  readonly description: string;
};

export type TabSettings = {
  /** False: no script of any page runs. */
  readonly script?: boolean;
  /** Keeps the cookies there are; otherwise the browser is one that has never been here. */
  readonly sameBrowser?: boolean;
  /** Where the HTTPS of a name really is, by name: a port of this machine. Heard by a browser that is not running yet. */
  readonly httpsPorts?: Readonly<Record<string, number>>;
};

/** Where Chromium is, or undefined to skip. */
export const chromium = needs("chromium");

const PATIENCE_MS = 20_000;
const DESKTOP_WIDTH = 1000;
const HEIGHT = 800;
const SCREENSHOTS = `${import.meta.dir}/screenshots`;

/** No sandbox: CI runs as root in a container. The rest keeps it from calling home. */
const ARGUMENTS = [
  "--no-sandbox",
  "--disable-quic",
  "--disable-sync",
  "--disable-component-update",
  "--disable-domain-reliability",
  "--no-pings",
  "--hide-scrollbars",
  "--ignore-certificate-errors",
  // Two pages of its own, for an address bar that nobody sees: they cost more than all of ours.
  "--disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup",
];

function argumentsFor(httpsPorts: Readonly<Record<string, number>>): string[] {
  const ports = Object.entries(httpsPorts).map(([name, port]) => `MAP ${name}:443 127.0.0.1:${port}`);
  // Names that nobody can own (RFC 6761) are this machine, with certificates made on the spot.
  const rules = [...ports, "MAP *.test 127.0.0.1", "MAP *.example 127.0.0.1"];
  return [...ARGUMENTS, `--host-resolver-rules=${rules.join(", ")}`];
}

export async function openTab({
  script = true,
  sameBrowser = false,
  httpsPorts = {},
}: TabSettings = {}): Promise<Tab> {
  if (chromium === undefined) throw new Error("there is no Chromium");
  const view = new Bun.WebView({
    width: DESKTOP_WIDTH,
    height: HEIGHT,
    backend: { type: "chrome", path: chromium, argv: argumentsFor(httpsPorts) },
  });
  // Before its first page, a view takes no DevTools command.
  await view.navigate("about:blank");
  const complaints: string[] = [];
  const requests = new Map<string, string>();
  await listen(view, complaints, requests);
  await view.cdp("Emulation.setTimezoneOverride", { timezoneId: "Europe/Paris" });
  await view.cdp("Emulation.setLocaleOverride", { locale: "en-US" });
  if (!sameBrowser) await view.cdp("Network.clearBrowserCookies");
  if (!script) await view.cdp("Emulation.setScriptExecutionDisabled", { value: true });

  const tab: Tab = {
    open: (url) =>
      through(async () => {
        const { errorText } = await view.cdp<{ errorText?: string }>("Page.navigate", { url });
        if (errorText !== undefined) throw new Error(`${url}: ${errorText}`);
      }),

    async click(selector) {
      const { x, y } = await poll(
        `${selector} to be clickable`,
        () => view.evaluate(centerOf(selector)),
        isPoint,
      );
      // By its place and not by the selector: looking for that would take script in the page.
      await view.click(x, y);
    },
    follow: (selector) => through(() => tab.click(selector)),
    type: (text) => view.type(text),
    press: (key) => view.press(key),
    pressThrough: (key) => through(() => view.press(key)),

    back: () =>
      through(async () => {
        const { currentIndex, entries } = await view.cdp<History>("Page.getNavigationHistory");
        const entryId = entries[currentIndex - 1]?.id;
        if (entryId === undefined) throw new Error("there is nothing to go back to");
        await view.cdp("Page.navigateToHistoryEntry", { entryId });
      }),
    reload: () => through(() => view.cdp("Page.reload")),

    where: () => textOf("location.pathname + location.search"),
    heading: () => textOf("document.querySelector('h1').innerText"),
    text: () => textOf("document.body.innerText"),
    evaluate: (expression) => view.evaluate(expression),
    async until(expression) {
      await poll(expression, () => view.evaluate(expression), isTrue);
    },

    async passTime(milliseconds) {
      const policy = "pauseIfNetworkFetchesPending";
      await view.cdp("Emulation.setVirtualTimePolicy", { policy, budget: milliseconds });
    },

    async appear({ scheme = "light", width = DESKTOP_WIDTH }) {
      await view.cdp("Emulation.setEmulatedMedia", {
        features: [
          { name: "prefers-color-scheme", value: scheme },
          // Colors would otherwise fade from one scheme to the other while they are looked at.
          { name: "prefers-reduced-motion", value: "reduce" },
        ],
      });
      const mobile = width < 600;
      await view.cdp("Emulation.setDeviceMetricsOverride", {
        width,
        height: HEIGHT,
        mobile,
        deviceScaleFactor: mobile ? 2 : 1,
      });
      await tab.until(`innerWidth >= ${width} && matchMedia("(prefers-color-scheme: ${scheme})").matches`);
    },
    async screenshot(name) {
      const { data } = await view.cdp<{ data: string }>("Page.captureScreenshot", {
        captureBeyondViewport: true,
      });
      await mkdir(SCREENSHOTS, { recursive: true });
      await Bun.write(`${SCREENSHOTS}/${name}.png`, Buffer.from(data, "base64"));
    },
    async accessible() {
      const { nodes } = await view.cdp<{ nodes: RawAccessibleNode[] }>("Accessibility.getFullAXTree");
      return nodes
        .filter(({ ignored }) => !ignored)
        .map(({ role, name, description }) => ({
          role: role?.value ?? "",
          name: name?.value ?? "",
          description: description?.value ?? "",
        }));
    },

    complaints: async () => complaints.splice(0),
    devtools: (method, parameters = {}) => view.cdp(method, parameters),
    requests: async () => [...requests.values()],
    close: async () => view.close(),
  };

  async function textOf(expression: string): Promise<string> {
    return String(await view.evaluate(expression));
  }

  /** Does what leads to another document and waits until that is complete. */
  async function through(act: () => Promise<unknown>): Promise<void> {
    const before = await view.evaluate("performance.timeOrigin");
    await act();
    await tab.until(`performance.timeOrigin !== ${before} && document.readyState === "complete"`);
  }

  return tab;
}

type History = { readonly currentIndex: number; readonly entries: readonly { readonly id: number }[] };

type RawAccessibleNode = {
  readonly ignored: boolean;
  readonly role?: { readonly value: string };
  readonly name?: { readonly value: string };
  readonly description?: { readonly value: string };
};

type Point = { readonly x: number; readonly y: number };

const isPoint = (value: unknown): value is Point => typeof value === "object" && value !== null;
const isTrue = (value: unknown): value is true => value === true;

/** An expression for the middle of an element, once nothing lies over it. */
function centerOf(selector: string): string {
  return `(() => {
    const element = document.querySelector(${JSON.stringify(selector)});
    if (element === null || document.readyState === "loading") return null;
    element.scrollIntoView({ block: "center", behavior: "instant" });
    const { x, y, width, height } = element.getBoundingClientRect();
    const center = { x: x + width / 2, y: y + height / 2 };
    return element.contains(document.elementFromPoint(center.x, center.y)) ? center : null;
  })()`;
}

async function poll<T>(
  what: string,
  look: () => Promise<unknown>,
  found: (value: unknown) => value is T,
): Promise<T> {
  const deadline = performance.now() + PATIENCE_MS;
  let seen: unknown;
  while (performance.now() < deadline) {
    try {
      seen = await look();
      if (found(seen)) return seen;
    } catch (error) {
      // The page looked at has gone, and the next one is not there yet.
      seen = error;
    }
    await Bun.sleep(15);
  }
  throw new Error(`waited in vain for ${what}; last seen: ${String(seen)}`);
}

/** Notes what goes wrong in a tab, and where it turns for anything. */
async function listen(view: Bun.WebView, complaints: string[], requests: Map<string, string>): Promise<void> {
  view.addEventListener<{ entry: { source: string; level: string; text: string } }>(
    "Log.entryAdded",
    ({ data: { entry } }) => {
      // Statuses of pages and of fetches are the tests' own business; those of a page's parts come below.
      if (entry.source === "network") return;
      if (entry.level === "error" || entry.level === "warning") complaints.push(`log: ${entry.text}`);
    },
  );
  view.addEventListener<{ type: string; args: { value?: unknown }[] }>(
    "Runtime.consoleAPICalled",
    ({ data: { type, args } }) => {
      if (["error", "warning", "assert"].includes(type)) {
        complaints.push(`console.${type}: ${args.map(({ value }) => String(value)).join(" ")}`);
      }
    },
  );
  view.addEventListener<{ exceptionDetails: { text: string; exception?: { description?: string } } }>(
    "Runtime.exceptionThrown",
    ({ data: { exceptionDetails } }) => {
      complaints.push(`exception: ${exceptionDetails.text} ${exceptionDetails.exception?.description ?? ""}`);
    },
  );
  view.addEventListener<{ issue: { code: string; details: unknown } }>(
    "Audits.issueAdded",
    ({ data: { issue } }) => void complaints.push(`issue: ${issue.code} ${JSON.stringify(issue.details)}`),
  );
  view.addEventListener<{ requestId: string; request: { url: string } }>(
    "Network.requestWillBeSent",
    // A redirect goes on under the same id: both places count.
    ({ data: { requestId, request } }) => void requests.set(`${requestId} ${request.url}`, request.url),
  );
  view.addEventListener<{ requestId: string; blockedReason?: string }>(
    "Network.loadingFailed",
    ({ data: { requestId, blockedReason } }) => {
      if (blockedReason !== "csp") return;
      for (const key of requests.keys()) if (key.startsWith(`${requestId} `)) requests.delete(key);
    },
  );
  view.addEventListener<{ type: string; response: { url: string; status: number } }>(
    "Network.responseReceived",
    ({ data: { type, response } }) => {
      // The application's parts are not here to be judged: after the session, for one, they are refused.
      if (
        new URL(response.url).pathname.startsWith("/_runegate/") &&
        type !== "Document" &&
        response.status >= 400
      ) {
        complaints.push(`${type} ${response.url}: ${response.status}`);
      }
    },
  );
  for (const domain of ["Log", "Runtime", "Audits", "Network", "Page"]) await view.cdp(`${domain}.enable`);
}
