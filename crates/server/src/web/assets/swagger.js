// Shows the OpenAPI document. What is entered as a key is not kept.
"use strict";

const place = document.getElementById("swagger-ui");

SwaggerUIBundle({
  domNode: place,
  url: place.dataset.document,
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  docExpansion: "list",
  filter: true,
  persistAuthorization: false,
  // Whose keys a route takes.
  showExtensions: true,
  syntaxHighlight: true,
  // Nobody else is asked whether the document is sound.
  validatorUrl: null,
});
