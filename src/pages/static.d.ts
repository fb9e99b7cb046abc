/**
 * Files of `static/` are imported `with { type: "text" }` (their content) or `with { type: "file" }` (a path to read
 * it from); both are strings, and `bun build --compile` embeds both. The longer prefix makes this win over the
 * `*.html` of bun-types, which describes Bun's HTML loader.
 */
declare module "../../static/*" {
  const content: string;
  export default content;
}
