'use strict';
// What handlers get, made of what the server sent; and what the server is told of what they did.

exports.create = function create(Parse, config, log) {
  // base are the members that all requests have.
  function base(sent, extra) {
    const request = {
      master: Boolean(sent.master),
      isReadOnly: Boolean(sent.readOnly),
      log,
      headers: sent.headers || {},
      ip: sent.ip,
      config,
      ...extra,
    };
    if (sent.user) {
      request.user = Parse.Object.fromJSON({ ...sent.user, className: '_User', ...(sent.sessionToken && { sessionToken: sent.sessionToken }) });
    }
    if (sent.installationId) {
      request.installationId = sent.installationId;
    }
    if (sent.context) {
      request.context = Object.assign(Object.create(null), sent.context);
    }
    return request;
  }

  // param is a param of a function: Date, File and Pointer become what they stand for, the rest stays as it was sent.
  function param(v) {
    if (Array.isArray(v)) {
      return v.map(param);
    }
    if (!v || typeof v !== 'object') {
      return v;
    }
    switch (v.__type) {
      case 'Date':
        return Object.assign(new Date(v.iso), v);
      case 'File':
        return Parse.File.fromJSON(v);
      case 'Pointer':
        return Parse.Object.fromJSON({ __type: 'Pointer', className: v.className, objectId: v.objectId });
    }
    return Object.fromEntries(Object.entries(v).map(([name, member]) => [name, param(member)]));
  }

  // params are those of a function. A file of a form has its bytes in a Buffer.
  function params(sent) {
    const all = param(sent);
    for (const [name, v] of Object.entries(sent)) {
      const data = v && v.data;
      if (data && data.__type === 'Bytes' && typeof v.filename === 'string' && typeof v.contentType === 'string' && Object.keys(v).length === 3) {
        all[name].data = Buffer.from(data.base64, 'base64');
      }
    }
    return all;
  }

  const object = json => (json ? Parse.Object.fromJSON(json) : undefined);

  // sentChanges applies what a client asked for to an object, as changes that are not saved yet.
  function sentChanges(target, writes, isNew) {
    const fixed = target.constructor.readOnlyAttributes ? target.constructor.readOnlyAttributes() : [];
    const whole = {};
    for (const [key, value] of Object.entries(writes)) {
      const root = key.split('.')[0];
      if (!/^[A-Za-z][0-9A-Za-z_]*$/.test(root)) {
        continue;
      }
      if (fixed.includes(root)) {
        if (isNew) {
          target._finishFetch({ [root]: value });
        }
      } else if (root === key) {
        whole[key] = value;
      } else if (value && typeof value === 'object' && value.__op) {
        target.set(key, Parse._decode(undefined, value));
      } else {
        target.set(root, nested(target.get(root), key.split('.').slice(1), Parse._decode(undefined, value)));
      }
    }
    target.set(Parse._decode(undefined, whole));
  }

  function nested(value, path, leaf) {
    if (path.length === 0) {
      return leaf;
    }
    const copy = value && typeof value === 'object' ? { ...value } : {};
    copy[path[0]] = nested(copy[path[0]], path.slice(1), leaf);
    return copy;
  }

  // texts is what an object would save, a JSON text for each field.
  const texts = target => new Map(Object.entries(target._getSaveJSON()).map(([name, v]) => [name, JSON.stringify(v)]));

  // differences are the fields in which two of these differ: what is written now, and what is written no more.
  function differences(before, after) {
    const changes = {};
    for (const [name, text] of after) {
      if (before.get(name) !== text) {
        changes[name] = JSON.parse(text);
      }
    }
    return { changes, withdrawn: [...before.keys()].filter(name => !after.has(name)) };
  }

  // shown is an object with all it holds, changes that are not saved included.
  function shown(target) {
    if (!(target instanceof Parse.Object)) {
      throw new TypeError('afterFind and beforeFind return objects');
    }
    const json = target.toJSON();
    for (const name of target.dirtyKeys()) {
      const value = target.get(name);
      if (value === undefined) {
        delete json[name];
      } else {
        json[name] = value && value._toFullJSON ? value._toFullJSON() : Parse._encode(value);
      }
    }
    return { ...json, __type: 'Object', className: target.className };
  }

  function query(sent) {
    const made = new Parse.Query(sent.class);
    made.withJSON(sent.query);
    return made;
  }

  return { base, params, object, sentChanges, texts, differences, shown, query };
};
