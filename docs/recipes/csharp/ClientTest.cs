using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Xunit;

namespace Recipe;

/// <summary>Run as 'comfyrec with -- dotnet test'. Each test has a server of its own.</summary>
public sealed class ClientTest
{
    private static readonly HttpClient Http = new();

    /// <summary>A fresh server; it ends with the block that it is used in.</summary>
    private sealed record Server(Uri Url, Uri Control) : IAsyncDisposable
    {
        public static async Task<Server> Make(string body)
        {
            var own = Environment.GetEnvironmentVariable("COMFYUI_URL")
                ?? throw new InvalidOperationException("run as 'comfyrec with -- dotnet test'");
            using var content = new StringContent(body, Encoding.UTF8, "application/json");
            using var answer = await Http.PostAsync($"{own}/__fake__/servers", content);
            answer.EnsureSuccessStatusCode();
            var made = await answer.Content.ReadFromJsonAsync<JsonElement>();
            return new Server(
                new Uri(made.GetProperty("url").GetString()!),
                new Uri(made.GetProperty("control_url").GetString()!));
        }

        public async ValueTask DisposeAsync() => (await Http.DeleteAsync(Control)).Dispose();
    }

    [Theory]
    [InlineData("""{"scenario": "success"}""", "success")]
    [InlineData("""{"plan": {"1": {"raise": "out of memory"}}}""", "error")]
    [InlineData("""{"scenario": "queued-behind"}""", "success")]
    public async Task ARunEndsAsTheServerSays(string body, string expected)
    {
        var workflow = JsonNode.Parse(await File.ReadAllTextAsync("workflow.json"))!;
        await using var server = await Server.Make(body);
        Assert.Equal(expected, await new Client(server.Url).Run(workflow));
    }
}
