// Swagger UI over the service's own OpenAPI; no validator badge, which would come from another site.

SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
});

/** What Swagger UI leaves out for keyboards and screen readers: where, which attribute, and what it is to be. */
const MENDED = [
  [".information-container", "role", () => "banner"],
  ["h3, h4, h5", "aria-level", ({ tagName }) => String(tagName[1] - 1)], // there is no h2 between the h1 and these
  [".opblock-summary-control a", "href", () => null], // a link within a button
  ["pre.microlight", "tabindex", () => "0"], // wider than its box, and else not to be scrolled by keys
  ["[role=region][id]", "aria-label", (region) => region.id.replaceAll("_", " ")],
  [".examples-select-element", "aria-label", () => "Example"],
  ["[data-param-name] select", "aria-label", (field) => field.closest("[data-param-name]").dataset.paramName],
];

/** Attributes only, so that it does not call itself. */
function mend() {
  for (const [place, name, valueOf] of MENDED) {
    for (const found of document.querySelectorAll(place)) {
      const value = valueOf(found);
      if (value === null) found.removeAttribute(name);
      else found.setAttribute(name, value);
    }
  }
}

new MutationObserver(mend).observe(document.getElementById("swagger-ui"), { childList: true, subtree: true });
