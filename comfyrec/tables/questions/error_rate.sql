-- How many prompts fail? Refused ones are not prompts yet; unknown: the recording ends before.
select version, server,
       count(*) as prompts,
       cast(sum(case when outcome = 'success' then 1 else 0 end) as bigint) as succeeded,
       cast(sum(case when outcome = 'error' then 1 else 0 end) as bigint) as failed,
       cast(sum(case when outcome = 'interrupted' then 1 else 0 end) as bigint) as interrupted,
       cast(sum(case when outcome = 'unknown' then 1 else 0 end) as bigint) as unknown,
       cast(sum(case when outcome = 'error' then 1 else 0 end) as double) / count(*) as failed_share
from prompts
group by version, server
order by version, server
