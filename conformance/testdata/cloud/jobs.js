// The cloud code that jobs.txt was recorded with. A job waits until functions let it end, so that what is read in between is certain.
const waiting = {};
const gate = name => (waiting[name] = waiting[name] || (() => { let open; const p = new Promise(resolve => { open = resolve; }); return { p, open }; })());
Parse.Cloud.define('open', req => { gate(req.params.gate).open(); });
// ended waits until a job has ended, and tells what is stored about it.
Parse.Cloud.define('ended', async req => {
  for (let i = 0; i < 2000; i++) {
    const status = await new Parse.Query('_JobStatus').get(req.params.id, { useMasterKey: true });
    if (req.params.message ? status.get('message') === req.params.message : status.get('status') !== 'running') {
      const { jobName, status: how, message, source, params, finishedAt } = status.toJSON();
      return { jobName, status: how, message, source, params, finished: Boolean(finishedAt) };
    }
    await new Promise(resolve => setTimeout(resolve, 5));
  }
  throw 'it does not end';
});
Parse.Cloud.job('returns', () => 'done');
Parse.Cloud.job('returnsNothing', () => {});
Parse.Cloud.job('returnsObject', () => ({ a: 1 }));
Parse.Cloud.job('throwsText', () => { throw 'text'; });
Parse.Cloud.job('throwsError', () => { throw new Error('an error'); });
Parse.Cloud.job('throwsParse', () => { throw new Parse.Error(44, 'coded'); });
Parse.Cloud.job('throwsNothing', () => { throw undefined; });
Parse.Cloud.job('throwsObject', () => { throw { a: 1 }; });
Parse.Cloud.job('tells', async req => { await req.message('half done'); await gate('tells').p; return 'all done'; });
Parse.Cloud.job('given', req => JSON.stringify({ keys: Object.keys(req).filter(k => req[k] !== undefined).sort(), params: req.params, name: req.jobName, id: req.jobId.length }));
Parse.Cloud.job('works', async () => { await new Parse.Object('Worked').save({ a: 1 }, { useMasterKey: true }); return String((await new Parse.Query('Worked').find({ useMasterKey: true })).length); });
