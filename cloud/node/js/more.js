'use strict';
// Jobs, and the triggers of files, the config and live queries.

const UNKNOWN = 'Script failed. Unknown error.';

exports.add = function add(Parse, registry, requests, handlers, request) {
  const { handled, missing, triggers, calls } = handlers;
  const ofClass = { beforeSave: triggers.beforeSave, afterSave: triggers.afterSave };

  calls.job = async sent => {
    const entry = registry.jobs.get(sent.name);
    if (!entry) {
      throw missing(`The job ${sent.name}`);
    }
    const asked = requests.base(sent, {
      params: sent.params, jobName: sent.name, jobId: sent.jobId,
      message: text => request('TELL', 'message', { text: String(text) }),
    });
    const result = await handled(entry, asked, sent, UNKNOWN);
    return typeof result === 'string' ? { outcome: result } : {}; // Parse Server drops whatever is no text
  };

  calls.watcher = async sent => {
    const { event, client, clients, subscriptions, error } = sent;
    const asked = requests.base(sent, { event, client, clients, subscriptions, ...(error && { error: new Error(error) }) });
    for (const watcher of registry.watchers) {
      await watcher(asked);
    }
    return {};
  };

  async function ofFile(entry, sent) {
    const { name, contentType, url, directory, data, metadata, tags } = sent.file;
    const file = new Parse.File(name, { base64: data ? data.base64 : '' }, contentType, metadata, tags, directory);
    if (url) {
      file._url = url;
    }
    const asked = requests.base(sent, {
      triggerName: sent.kind, file, fileSize: sent.fileSize, contentType, forceDownload: Boolean(sent.forceDownload), responseHeaders: {},
    });
    const result = await handled(entry, asked, sent, UNKNOWN);
    const answer = { forceDownload: asked.forceDownload, responseHeaders: asked.responseHeaders };
    const changed = result instanceof Parse.File ? result : (result && result.file) || file;
    answer.file = { name: changed.name(), url: changed.url() || '', metadata: changed.metadata(), tags: changed.tags() };
    if (changed !== file || changed._data !== (data && data.base64)) {
      const base64 = typeof changed.getData === 'function' ? await changed.getData() : changed._data;
      if (base64) {
        answer.file.data = { __type: 'Bytes', base64 };
      }
      const source = changed._source;
      if (source && source.type) {
        answer.file.contentType = source.type;
      }
    }
    if (typeof changed.directory === 'function' && changed.directory()) {
      answer.file.directory = changed.directory();
    }
    return answer;
  }

  function configOf(params) {
    const made = new Parse.Config();
    for (const [name, value] of Object.entries(params)) {
      made.attributes[name] = Parse._decode(undefined, value);
    }
    return made;
  }

  async function ofConfig(entry, sent) {
    const object = configOf(sent.params);
    const before = new Map(Object.entries(object.attributes).map(([name, v]) => [name, JSON.stringify(Parse._encode(v))]));
    const asked = requests.base(sent, { triggerName: sent.kind, object });
    if (sent.original) {
      asked.original = configOf(sent.original);
    }
    const result = await handled(entry, asked, sent, UNKNOWN);
    const changes = {};
    for (const [name, value] of Object.entries((result instanceof Parse.Config ? result : object).attributes)) {
      const encoded = Parse._encode(value);
      if (JSON.stringify(encoded) !== before.get(name)) {
        changes[name] = encoded;
      }
    }
    return { changes };
  }

  for (const kind of ['beforeSave', 'afterSave']) {
    triggers[kind] = (entry, sent) => (sent.file ? ofFile : sent.class === '@Config' ? ofConfig : ofClass[kind])(entry, sent);
  }
  for (const kind of ['beforeDelete', 'afterDelete', 'beforeFind', 'afterFind']) {
    const other = triggers[kind];
    triggers[kind] = (entry, sent) => (sent.file ? ofFile(entry, sent) : other ? other(entry, sent) : handlers.plain(entry, sent));
  }

  const counts = ({ clients, subscriptions, event }) => ({ clients, subscriptions, ...(event && { event }) });

  triggers.beforeConnect = async (entry, sent) => {
    await handled(entry, requests.base(sent, { triggerName: 'beforeConnect', ...counts(sent), sessionToken: sent.sessionToken, useMasterKey: Boolean(sent.master) }), sent, UNKNOWN);
    return {};
  };

  triggers.beforeSubscribe = async (entry, sent) => {
    const query = requests.query(sent);
    const before = JSON.stringify(query.toJSON());
    await handled(entry, requests.base(sent, { triggerName: 'beforeSubscribe', query, ...counts(sent), sessionToken: sent.sessionToken, useMasterKey: Boolean(sent.master) }), sent, UNKNOWN);
    const json = query.toJSON();
    return JSON.stringify(json) === before ? {} : { query: json };
  };

  triggers.afterEvent = async (entry, sent) => {
    const asked = requests.base(sent, {
      triggerName: 'afterEvent', ...counts(sent), object: requests.object(sent.object), sessionToken: sent.sessionToken, useMasterKey: Boolean(sent.master), sendEvent: true,
    });
    if (sent.original) {
      asked.original = requests.object(sent.original);
    }
    await handled(entry, asked, sent, UNKNOWN);
    return {
      sendEvent: Boolean(asked.sendEvent),
      ...(asked.object && { object: requests.shown(asked.object) }),
      ...(asked.original && { original: requests.shown(asked.original) }),
    };
  };
};
