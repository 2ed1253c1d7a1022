using System.Net.Http.Json;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Recipe;

/// <summary>A small client: it posts a workflow and waits for the end of its prompt.</summary>
public sealed class Client(Uri url)
{
    private readonly HttpClient _http = new() { BaseAddress = url };

    /// <summary>"success" or "error", as the history has it.</summary>
    public async Task<string> Run(JsonNode workflow)
    {
        var body = new JsonObject { ["prompt"] = workflow, ["client_id"] = "csharp" };
        using var answer = await _http.PostAsJsonAsync("/prompt", body);
        answer.EnsureSuccessStatusCode();
        var accepted = await answer.Content.ReadFromJsonAsync<JsonElement>();
        var id = accepted.GetProperty("prompt_id").GetString()!;
        for (var until = DateTime.UtcNow.AddSeconds(10); DateTime.UtcNow < until; await Task.Delay(20))
        {
            var history = await _http.GetFromJsonAsync<JsonElement>($"/history/{id}");
            if (history.TryGetProperty(id, out var entry))
                return entry.GetProperty("status").GetProperty("status_str").GetString()!;
        }
        throw new TimeoutException($"prompt {id} did not end");
    }
}
