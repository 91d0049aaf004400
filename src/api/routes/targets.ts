import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import type { ChapRecord, TargetRecord } from '../../control/records.ts'
import type { ApiBackend } from '../backend.ts'
import {
  aclParameter,
  chapOwner,
  discoveryChap,
  forceQuery,
  lunParameter,
  newLun,
  newTarget,
  target,
  targetChap,
  targetParameter,
} from '../schemas.ts'
import { answers } from './answers.ts'
import { sendLongList } from './long-list.ts'

const tags = ['targets']
const nothing = z.null().describe('no content')

export const targetRoutes: FastifyPluginAsyncZod<{ backend: ApiBackend }> = async (app, { backend }) => {
  const { control } = backend
  app.get(
    '/targets',
    { schema: { tags, summary: 'All targets', response: answers(200, z.array(target)) } },
    async (_request, reply) => sendLongList(reply, target, (await control.listTargets()).map(withoutSecrets)),
  )
  app.post(
    '/targets',
    {
      schema: {
        tags,
        summary: 'Make a target without LUNs',
        body: newTarget,
        response: answers(201, target),
      },
    },
    async (request, reply) =>
      reply.code(201).send(withoutSecrets(await control.createTarget(request.body.target))),
  )
  app.get(
    '/targets/:target',
    { schema: { tags, summary: 'One target', params: targetParameter, response: answers(200, target) } },
    async request => withoutSecrets(await control.showTarget(request.params.target)),
  )
  app.delete(
    '/targets/:target',
    {
      schema: {
        tags,
        summary: 'Delete a target; its volumes stay',
        params: targetParameter,
        querystring: forceQuery,
        response: answers(204, nothing),
      },
    },
    async (request, reply) => {
      await control.deleteTarget(request.params.target, { force: request.query.force })
      return reply.code(204).send(null)
    },
  )
  app.put(
    '/targets/:target/luns/:lun',
    {
      schema: {
        tags,
        summary: 'Serve a volume as a LUN',
        params: lunParameter,
        body: newLun,
        response: answers(200, target),
      },
    },
    async request => {
      const { params, body } = request
      return withoutSecrets(
        await control.addLun(params.target, params.lun, body.volume, { readOnly: body.readOnly }),
      )
    },
  )
  app.delete(
    '/targets/:target/luns/:lun',
    {
      schema: {
        tags,
        summary: 'Stop serving a LUN',
        params: lunParameter,
        querystring: forceQuery,
        response: answers(200, target),
      },
    },
    async ({ params, query }) =>
      withoutSecrets(await control.removeLun(params.target, params.lun, { force: query.force })),
  )
  app.put(
    '/targets/:target/acl/:initiator',
    {
      schema: {
        tags,
        summary: 'Let an initiator in; the word all opens the target to everybody again',
        params: aclParameter,
        response: answers(200, target),
      },
    },
    async ({ params }) => withoutSecrets(await control.addAcl(params.target, params.initiator)),
  )
  app.delete(
    '/targets/:target/acl/:initiator',
    {
      schema: {
        tags,
        summary: 'Shut an initiator out and end its sessions',
        params: aclParameter,
        response: answers(200, target),
      },
    },
    async ({ params }) => withoutSecrets(await control.removeAcl(params.target, params.initiator)),
  )
  app.put(
    '/targets/:target/chap',
    {
      schema: {
        tags,
        summary: 'Demand CHAP, of all initiators or of one',
        params: targetParameter,
        body: targetChap,
        response: answers(200, target),
      },
    },
    async ({ params, body }) => withoutSecrets(await control.setChap(params.target, body)),
  )
  app.delete(
    '/targets/:target/chap',
    {
      schema: {
        tags,
        summary: 'Demand no CHAP any more',
        params: targetParameter,
        querystring: chapOwner,
        response: answers(200, target),
      },
    },
    async ({ params, query }) =>
      withoutSecrets(await control.clearChap(params.target, query.initiator ?? null)),
  )
  app.put(
    '/discovery/chap',
    {
      schema: {
        tags,
        summary: 'Demand CHAP of discovery',
        body: discoveryChap,
        response: answers(204, nothing),
      },
    },
    async (request, reply) => {
      await control.setDiscoveryChap(request.body)
      return reply.code(204).send(null)
    },
  )
  app.delete(
    '/discovery/chap',
    { schema: { tags, summary: 'Demand no CHAP of discovery', response: answers(204, nothing) } },
    async (_request, reply) => {
      await control.clearDiscoveryChap()
      return reply.code(204).send(null)
    },
  )
}

function withoutSecrets(record: TargetRecord): z.output<typeof target> {
  const { iqn, luns, openToAll, acl, chap, chapByInitiator, createdAt } = record
  const owners = Object.entries(chapByInitiator).map(([name, entry]) => [name, chapUsers(entry)] as const)
  return {
    iqn,
    luns,
    openToAll,
    acl,
    chap: chap === null ? null : chapUsers(chap),
    chapByInitiator: Object.fromEntries(owners),
    createdAt,
  }
}

function chapUsers(record: ChapRecord): { user: string; mutualUser: string | null } {
  return { user: record.user, mutualUser: record.mutualUser ?? null }
}
