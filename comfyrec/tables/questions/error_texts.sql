-- What do errors say? Most frequent first.
select version, server, error_class_type, error_type, error_message,
       count(*) as times,
       count(distinct recording) as recordings,
       max(ended_at_us) as last_at_us
from prompts
where error_message is not null
group by version, server, error_class_type, error_type, error_message
order by times desc, version, server, error_class_type, error_type, error_message
