/** `deploy/release-keys.pub`, imported `with { type: "text" }`; embedded when the executable is built. */
declare module "*.pub" {
  const content: string;
  export default content;
}
