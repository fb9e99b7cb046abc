import { type Language, said, say } from "../pages/language.ts";

/** A browser's name in words, so that somebody reading a mail can tell whether it was them. Never used to decide. */
export function describeDevice(language: Language, userAgent: string | null): string {
  if (userAgent === null || userAgent === "") return say(language, said("device.program"));
  const known = BROWSERS.find(([pattern]) => pattern.test(userAgent))?.[1];
  const browser = known ?? say(language, said("device.otherBrowser"));
  const system = SYSTEMS.find(([pattern]) => pattern.test(userAgent))?.[1];
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
