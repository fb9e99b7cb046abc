import { type Routes, routeFor } from "../access/routes.ts";
import type { LookOf } from "../edge/arrival.ts";
import type { Cookies } from "../edge/cookies.ts";
import type { EdgeOptions } from "../edge/options.ts";
import { cutTarget, placeOf } from "../edge/target.ts";
import type { LanguageChoice } from "../language/choice.ts";
import { partsOf } from "../login/next.ts";
import { ENGLISH } from "../pages/language.ts";
import type { Look } from "../pages/look.ts";
import { OWN_PREFIX } from "../pages/paths.ts";
import { readBrand } from "./files.ts";
import type { BrandOptions } from "./options.ts";

export const BRAND_PATH = `${OWN_PREFIX}/brand`;

type LookOptions = BrandOptions & Pick<EdgeOptions, "baseUrl">;

/** That of the options, where nobody goes to an application. */
export function usualLook(options: LookOptions): Look {
  const { served, accent, contact, mailLogo } = readBrand(options.brand);
  const logo = served.has("logo.svg") ? "logo.svg" : served.has("logo.png") ? "logo.png" : undefined;
  const styles = [
    ...(accent === undefined ? [] : ["accent.css"]),
    ...(served.has("style.css") ? ["style.css"] : []),
  ];
  return {
    language: ENGLISH,
    app: options.appName,
    host: new URL(options.baseUrl).host,
    sign: undefined,
    contact,
    logo: logo && `${BRAND_PATH}/${logo}`,
    hasMailLogo: mailLogo !== undefined,
    styles: styles.map((name) => `${BRAND_PATH}/${name}`),
    back: undefined,
    colors: accent && { light: accent.light.accent, dark: accent.dark.accent },
  };
}

type Shown = { readonly cookies: Cookies; readonly origin: string };

/**
 * Whose a page is: the application's that somebody goes to, or else the one that the options name.
 * @param isActing whether whoever asks uses an application of that host as somebody else.
 */
export function createLookOf(
  options: LookOptions,
  routes: Routes,
  languages: LanguageChoice,
  isActing: (shown: Shown) => boolean = () => false,
): LookOf {
  const plain = usualLook(options);

  return (asked, next) => {
    const { origin, target } = asked;
    const back = languages.isOpen ? backTo(asked, next) : undefined;
    const here = origin ?? routes.home.origin;
    const acting = asked.cookies !== undefined && isActing({ cookies: asked.cookies, origin: here });
    const usual: Look = { ...plain, language: languages.of(asked), back, acting };
    const going = next ?? (target !== undefined && placeOf(target.path) === "application" ? target.path : "");
    if (going === "") return usual;
    const parts = partsOf(going, here);
    const site = routes.siteAt(parts.origin);
    const route = site && routeFor(site, cutTarget(parts.path, 0).path);
    if (route?.host === undefined) return usual;
    return { ...usual, app: route.title, sign: route.icon, host: new URL(parts.origin).host };
  };
}

/** The page itself; after a form, the one where it was, which a GET asks for. */
function backTo({ request, target }: Parameters<LookOf>[0], next: string | undefined): string | undefined {
  if (target === undefined) return undefined;
  if (request.method === "GET" || request.method === "HEAD") return target.path + withoutLang(target.search);
  return target.path + (next ? `?next=${encodeURIComponent(next)}` : "");
}

/** What was asked for by the address would win over what is chosen. */
function withoutLang(search: string): string {
  const rest = search
    .slice(1)
    .split("&")
    .filter((pair) => pair !== "" && !/^lang(?:=|$)/.test(pair));
  return rest.length === 0 ? "" : `?${rest.join("&")}`;
}
