// node daemon.mjs REPO: runs a daemon on loopback, without bootstrap peers or discovery, until it is killed.
// Prints one line of JSON: {"api": multiaddr of the RPC API, "addresses": [swarm multiaddrs]}.
import { create } from 'ipfs-core'
import { HttpApi } from 'ipfs-http-server'

Promise.withResolvers ??= function () { // Node.js below 22
  let resolve, reject
  const promise = new Promise((...both) => { [resolve, reject] = both })
  return { promise, resolve, reject }
}

const ipfs = await create({
  repo: process.argv[2],
  silent: true,
  init: { algorithm: 'Ed25519', emptyRepo: true, profiles: ['test', 'server'] },
  config: {
    Addresses: { Swarm: ['/ip4/127.0.0.1/tcp/0'], API: '/ip4/127.0.0.1/tcp/0', Gateway: '' },
    Bootstrap: [],
    Discovery: { MDNS: { Enabled: false }, webRTCStar: { Enabled: false } },
    Routing: { Type: 'none' }
  }
})
const api = new HttpApi(ipfs)
await api.start()
console.log(JSON.stringify({
  api: String(api._apiServers[0].info.ma),
  addresses: (await ipfs.id()).addresses.map(String)
}))
