import { ENGLISH, type Language, said, say } from "../pages/language.ts";

/** A browser, so that somebody reading a mail can tell whether it was them. Names without versions, in no language. */
export type Device = { readonly browser?: string; readonly system?: string };

/** Empty for a program that gives no name. */
export function recognizeDevice(userAgent: string | null): Device {
  if (userAgent === null || userAgent === "") return {};
  const browser = BROWSERS.find(([pattern]) => pattern.test(userAgent))?.[1] ?? "";
  const system = SYSTEMS.find(([pattern]) => pattern.test(userAgent))?.[1];
  return system === undefined ? { browser } : { browser, system };
}

export function describeDevice(language: Language, device: Device): string {
  if (device.browser === undefined) return say(language, said("device.program"));
  const browser = device.browser === "" ? say(language, said("device.otherBrowser")) : device.browser;
  const { system } = device;
  return system === undefined ? browser : say(language, said("device.both", { browser, system }));
}

/** For the audit: `Firefox on Linux`. Undefined for a program that gives no name. */
export function agentOf(userAgent: string | null | undefined): string | undefined {
  const device = recognizeDevice(userAgent ?? null);
  return device.browser === undefined ? undefined : describeDevice(ENGLISH, device);
}

/** In this order: most browsers also claim to be the ones further down. */
const BROWSERS: ReadonlyArray<readonly [RegExp, string]> = [
  [/\bEdg(?:e|A|iOS)?\//, "Edge"],
  [/\bOPR\//, "Opera"],
  [/\b(?:Firefox|FxiOS)\//, "Firefox"],
  [/\b(?:Chrome|CriOS|Chromium|HeadlessChrome)\//, "Chrome"],
  [/\bSafari\//, "Safari"],
  [/^curl\//, "curl"],
];

const SYSTEMS: ReadonlyArray<readonly [RegExp, string]> = [
  [/\b(?:iPhone|iPad|iPod)\b/, "iOS"],
  [/\bAndroid\b/, "Android"],
  [/\bCrOS\b/, "ChromeOS"],
  [/\bWindows\b/, "Windows"],
  [/\bMacintosh\b/, "macOS"],
  [/\bLinux\b/, "Linux"],
];
