import { readFileSync } from "node:fs";
import adminStyle from "../../static/admin.css" with { type: "text" };
import adminScript from "../../static/admin.js" with { type: "text" };
import script from "../../static/app.js" with { type: "text" };
import captcha from "../../static/captcha.js" with { type: "text" };
import captchaWorker from "../../static/captcha-worker.js" with { type: "text" };
import icon from "../../static/icon.png" with { type: "file" };
import logo from "../../static/logo.svg" with { type: "text" };
import passkeys from "../../static/passkeys.js" with { type: "text" };
import style from "../../static/style.css" with { type: "text" };
import { OWN_PREFIX } from "./paths.ts";

/** The pages' own files, embedded in the executable, under names that change with their content. */

export type AssetName =
  | "admin.css"
  | "admin.js"
  | "app.js"
  | "captcha.js"
  | "captcha-worker.js"
  | "icon.png"
  | "logo.svg"
  | "passkeys.js"
  | "style.css";

export type Asset = {
  readonly body: Uint8Array<ArrayBuffer>;
  readonly type: string;
  /** Strong, quoted (RFC 9110 §8.8.3). */
  readonly etag: string;
};

type Listed = readonly [name: AssetName, type: string, content: string | (() => Uint8Array)];

const LIST: readonly Listed[] = [
  ["admin.css", "text/css; charset=utf-8", adminStyle],
  ["admin.js", "text/javascript; charset=utf-8", adminScript],
  ["app.js", "text/javascript; charset=utf-8", script],
  ["captcha.js", "text/javascript; charset=utf-8", captcha],
  ["captcha-worker.js", "text/javascript; charset=utf-8", captchaWorker],
  ["icon.png", "image/png", () => readFileSync(icon)],
  ["logo.svg", "image/svg+xml", logo],
  ["passkeys.js", "text/javascript; charset=utf-8", passkeys],
  ["style.css", "text/css; charset=utf-8", style],
];

type Assets = {
  readonly paths: ReadonlyMap<AssetName, string>;
  readonly byPath: ReadonlyMap<string, Asset>;
};

let made: Assets | undefined;

/** Made when a page first wants one, so that no start waits for it. */
function assets(): Assets {
  made ??= makeAssets();
  return made;
}

function makeAssets(): Assets {
  const paths = new Map<AssetName, string>();
  const byPath = new Map<string, Asset>();
  for (const [name, type, content] of LIST) {
    const body = typeof content === "string" ? new TextEncoder().encode(content) : new Uint8Array(content());
    const hash = new Bun.CryptoHasher("sha256").update(body).digest("hex").slice(0, 12);
    const path = `${OWN_PREFIX}/static/${name.replace(".", `.${hash}.`)}`;
    paths.set(name, path);
    byPath.set(path, { body, type, etag: `"${hash}"` });
  }
  return { paths, byPath };
}

/** Where a page finds an asset: `/_runegate/static/<name>.<hash>.<extension>`. */
export function assetPath(name: AssetName): string {
  return assets().paths.get(name) ?? "";
}

/** The asset at a request's path. What is found never changes, so it may be cached for ever. */
export function findAsset(pathname: string): Asset | undefined {
  return assets().byPath.get(pathname);
}
