import { type Language, said, say } from "../pages/language.ts";

type Device = { readonly browser: string | undefined; readonly system: string | undefined };

/** Family and system, without versions, which change every few weeks; undefined for what is not known. */
export function deviceOf(userAgent: string): Device {
  const named = (names: typeof BROWSERS) => names.find(([pattern]) => pattern.test(userAgent))?.[1];
  return { browser: named(BROWSERS), system: named(SYSTEMS) };
}

/** A browser's name in words, so that somebody reading a mail can tell whether it was them. */
export function describeDevice(language: Language, userAgent: string | null): string {
  if (userAgent === null || userAgent === "") return say(language, said("device.program"));
  const { browser = say(language, said("device.otherBrowser")), system } = deviceOf(userAgent);
  return system === undefined ? browser : say(language, said("device.both", { browser, system }));
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
