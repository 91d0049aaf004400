import { createReadStream } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import swagger from '@fastify/swagger'
import type { FastifyInstance } from 'fastify'
import { jsonSchemaTransform } from 'fastify-type-provider-zod'
import { HoldfastError } from '../errors/holdfast-error.ts'

/** Where @fastify/swagger-ui keeps what the page is made of; nothing of it is loaded before somebody looks. */
const ASSETS = join(dirname(createRequire(import.meta.url).resolve('@fastify/swagger-ui')), 'static')
const ASSET_TYPES = new Map([
  ['swagger-ui.css', 'text/css'],
  ['swagger-ui-bundle.js', 'text/javascript'],
  ['favicon-32x32.png', 'image/png'],
])
const CONTENT_POLICY =
  "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"

const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Holdfast API</title>
<link rel="icon" href="/docs/favicon-32x32.png">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="page"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
`
const START = `SwaggerUIBundle({ url: '/openapi.json', dom_id: '#page', validatorUrl: null, deepLinking: true })\n`

/** Must come before the routes that it describes. */
export async function installOpenApi(app: FastifyInstance, version: string): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Holdfast',
        version,
        description:
          'Replicated block volumes over iSCSI and NBD. Errors are RFC 9457 problem details with a stable `code`.',
      },
      components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } },
      security: [{}, { bearer: [] }],
    },
    transform: jsonSchemaTransform,
  })
  const schema = { hide: true }
  app.get('/', { schema }, async (_request, reply) => reply.redirect('/docs'))
  app.get('/openapi.json', { schema }, async () => app.swagger())
  app.get('/docs', { schema }, async (_request, reply) =>
    reply.header('content-security-policy', CONTENT_POLICY).type('text/html').send(PAGE),
  )
  app.get('/docs/start.js', { schema }, async (_request, reply) => reply.type('text/javascript').send(START))
  app.get('/docs/:asset', { schema }, async (request, reply) => {
    const { asset } = request.params as { asset: string }
    const type = ASSET_TYPES.get(asset)
    if (type === undefined) throw new HoldfastError('ERR_PATH_NOT_FOUND')
    return reply.type(type).send(createReadStream(join(ASSETS, asset)))
  })
}
